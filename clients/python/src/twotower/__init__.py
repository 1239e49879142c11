"""Client of twotower, a gRPC two-tower recall system.

Everything that a caller needs is named here. Begin with `Client`.
"""

from .candidates import Candidates, Coverage, Scores, Similar
from .client import Client
from .errors import RecallError, TwoTowerError
from .events import Event
from .explanations import Explained, Explanation, Reason
from .filters import Condition, Filter, has_id, keyword_in, number_range
from .items import FeatureValue, Found, Item, ItemKey, Popular, Upserted
from .query import Blend, Diversity, Query
from .recalls import Recall, Replay, Timings
from .traffic import Figures, Generation, Traffic, Verdict
from .users import DeletedUser, Recorded, StoredProfile, User

__all__ = [
    "Blend",
    "Candidates",
    "Client",
    "Condition",
    "Coverage",
    "DeletedUser",
    "Diversity",
    "Event",
    "Explained",
    "Explanation",
    "FeatureValue",
    "Figures",
    "Filter",
    "Found",
    "Generation",
    "Item",
    "ItemKey",
    "Popular",
    "Query",
    "Reason",
    "Recall",
    "RecallError",
    "Recorded",
    "Replay",
    "Scores",
    "Similar",
    "StoredProfile",
    "Timings",
    "Traffic",
    "TwoTowerError",
    "Upserted",
    "User",
    "Verdict",
    "has_id",
    "keyword_in",
    "number_range",
]
