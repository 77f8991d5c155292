"""Bodies of OpenAI's chat and completion routes, what of them is understood here; unknown fields are let pass."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_CHOICES, MOST_STOPS, MOST_CHARACTERS = 16, 4, 4 << 20
Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]


class StreamOptions(BaseModel):
    """What a stream also tells."""

    include_usage: bool = False


class Asked(BaseModel):
    """What both routes take."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    presence_penalty: float = 0
    frequency_penalty: float = 0

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: str | list[str] | None) -> list[str]:
        found = [value] if isinstance(value, str) else value or []
        if len(found) > MOST_STOPS or not all(found):
            raise ValueError(f"at most {MOST_STOPS} texts, none of them empty")
        return found

    @field_validator("presence_penalty", "frequency_penalty")
    @classmethod
    def _no_penalty(cls, value: float) -> float:
        if value:
            raise ValueError("penalties are not supported here; leave it out")
        return value

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end the answer."""
        return tuple(self.stop or ())

    @property
    def usage(self) -> bool:
        """Whether a stream ends with the numbers of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class Part(BaseModel):
    """A piece of a message; only text is read."""

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """A turn of a chat."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Part]

    @property
    def said(self) -> dict[str, str]:
        """As a chat template takes it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatAsked(Asked):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1, max_length=4096)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    tools: list[Any] | None = None

    @field_validator("logprobs", "tools")
    @classmethod
    def _not_here(cls, value: object) -> object:
        if value:
            raise ValueError("not supported here; leave it out")
        return value


class CompletionAsked(Asked):
    """POST /v1/completions."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_CHOICES)]
    echo: bool = False
    logprobs: int | None = None

    @field_validator("logprobs")
    @classmethod
    def _not_here(cls, value: int | None) -> int | None:
        if value is not None:
            raise ValueError("not supported here; leave it out")
        return value

    @property
    def prompts(self) -> list[str]:
        """One or several."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt
