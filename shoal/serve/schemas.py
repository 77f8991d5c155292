"""Bodies as OpenAPI describes them. The names are those of the Open Inference Protocol, version 2."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Parameters = dict[str, bool | int | float | str]
Size = Annotated[int, Field(ge=0, lt=2**40)]
Shape = Annotated[
    list[Size], Field(max_length=32, description="the sizes of its axes", examples=[[1, 3, 224, 224]])
]


class Tensor(BaseModel):
    """One input tensor."""

    name: str = Field(max_length=1000, examples=["image"])
    shape: Shape
    datatype: str = Field(max_length=20, description="BOOL, UINT8 … INT64, FP16, FP32, FP64", examples=["FP32"])
    parameters: Parameters = Field(default_factory=dict, description="binary_data_size: its bytes follow the JSON")
    data: Any = Field(None, description="the elements, flat (row after row) or nested", examples=[[0.0, 0.5, 1.0]])


class Wanted(BaseModel):
    """One output that is wanted."""

    name: str = Field(max_length=1000)
    parameters: Parameters = Field(default_factory=dict, description="binary_data: its bytes shall follow the JSON")


class InferRequest(BaseModel):
    """Input tensors by name; unknown fields are passed over, as the protocol allows extensions."""

    id: str | None = Field(None, max_length=1000, description="given back with the answer", examples=["42"])
    parameters: Parameters = Field(default_factory=dict, description="binary_data_output: all outputs as bytes")
    inputs: list[Tensor] = Field(max_length=1000)
    outputs: list[Wanted] = Field(default_factory=list, max_length=1000, description="none: all")


class OutputTensor(BaseModel):
    """One output tensor."""

    name: str
    shape: Shape
    datatype: str = Field(examples=["FP32"])
    parameters: Parameters | None = None
    data: list[float | int | bool | None] | None = Field(
        None, description="the elements row after row; null for what is no number or not finite"
    )


class InferResponse(BaseModel):
    """Output tensors."""

    model_config = ConfigDict(protected_namespaces=())
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class Class(BaseModel):
    """One class of a classifier."""

    index: int
    label: str = Field(examples=["espresso"])
    probability: float = Field(ge=0, le=1)


class Classes(BaseModel):
    """What is on a photo, likeliest first."""

    model_config = ConfigDict(protected_namespaces=())
    model_name: str
    pixels: str = Field(description="how the photo became numbers", examples=["mean=127,std=128,crop=0.875"])
    classes: list[Class]


class Fault(BaseModel):
    """Why a request was not answered."""

    error: str = Field(examples=["input 'image' has the wrong shape (needed [1, 3, 224, 224], had [1, 3, 32, 32])"])
    kind: str = Field(examples=["InputError"])
    hint: str | None = None


class TensorMetadata(BaseModel):
    """A tensor's name, type and shape; -1 for a size that may vary."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The model that is served."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """This server."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the server runs."""

    live: bool


class Ready(BaseModel):
    """Whether requests are answered now, and why not."""

    name: str
    ready: bool
    why: str = ""
