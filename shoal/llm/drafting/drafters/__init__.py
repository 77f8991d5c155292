"""What proposes tokens, one file a drafter; none needs torch."""

from shoal.llm.drafting.drafters.contract import FAMILY, Ask, Drafter, Session

__all__ = ["FAMILY", "Ask", "Drafter", "Session"]
