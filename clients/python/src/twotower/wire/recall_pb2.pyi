import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from . import catalog_pb2 as _catalog_pb2
from . import features_pb2 as _features_pb2
from . import filter_pb2 as _filter_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Variant(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VARIANT_UNSPECIFIED: _ClassVar[Variant]
    VARIANT_SERVING: _ClassVar[Variant]
    VARIANT_CANDIDATE: _ClassVar[Variant]
    VARIANT_NAMED: _ClassVar[Variant]

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_ANN: _ClassVar[Source]
    SOURCE_EXACT: _ClassVar[Source]
    SOURCE_POPULAR: _ClassVar[Source]
    SOURCE_FRESH: _ClassVar[Source]

class DegradedReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEGRADED_REASON_UNSPECIFIED: _ClassVar[DegradedReason]
    DEGRADED_REASON_SHARD_UNREACHABLE: _ClassVar[DegradedReason]
    DEGRADED_REASON_DEADLINE: _ClassVar[DegradedReason]
    DEGRADED_REASON_USER_TOWER_DOWN: _ClassVar[DegradedReason]
    DEGRADED_REASON_FALLBACK_POPULAR: _ClassVar[DegradedReason]
    DEGRADED_REASON_ITEMS_MISSING: _ClassVar[DegradedReason]
    DEGRADED_REASON_STALE_HISTORY: _ClassVar[DegradedReason]
VARIANT_UNSPECIFIED: Variant
VARIANT_SERVING: Variant
VARIANT_CANDIDATE: Variant
VARIANT_NAMED: Variant
SOURCE_UNSPECIFIED: Source
SOURCE_ANN: Source
SOURCE_EXACT: Source
SOURCE_POPULAR: Source
SOURCE_FRESH: Source
DEGRADED_REASON_UNSPECIFIED: DegradedReason
DEGRADED_REASON_SHARD_UNREACHABLE: DegradedReason
DEGRADED_REASON_DEADLINE: DegradedReason
DEGRADED_REASON_USER_TOWER_DOWN: DegradedReason
DEGRADED_REASON_FALLBACK_POPULAR: DegradedReason
DEGRADED_REASON_ITEMS_MISSING: DegradedReason
DEGRADED_REASON_STALE_HISTORY: DegradedReason

class RecallRequest(_message.Message):
    __slots__ = ("user_id", "context", "page_size", "exclude", "options", "generation", "filter", "consistency_token", "experiment_unit", "diversity", "blend", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_UNIT_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    BLEND_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    context: _features_pb2.UserContext
    page_size: int
    exclude: Exclude
    options: RecallOptions
    generation: str
    filter: _filter_pb2.Filter
    consistency_token: str
    experiment_unit: str
    diversity: Diversity
    blend: Blend
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., context: _Optional[_Union[_features_pb2.UserContext, _Mapping]] = ..., page_size: _Optional[int] = ..., exclude: _Optional[_Union[Exclude, _Mapping]] = ..., options: _Optional[_Union[RecallOptions, _Mapping]] = ..., generation: _Optional[str] = ..., filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]] = ..., consistency_token: _Optional[str] = ..., experiment_unit: _Optional[str] = ..., diversity: _Optional[_Union[Diversity, _Mapping]] = ..., blend: _Optional[_Union[Blend, _Mapping]] = ..., page_token: _Optional[str] = ...) -> None: ...

class Diversity(_message.Message):
    __slots__ = ("interest_weights", "interest_quota", "mmr_lambda", "caps")
    INTEREST_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    INTEREST_QUOTA_FIELD_NUMBER: _ClassVar[int]
    MMR_LAMBDA_FIELD_NUMBER: _ClassVar[int]
    CAPS_FIELD_NUMBER: _ClassVar[int]
    interest_weights: _containers.RepeatedScalarFieldContainer[float]
    interest_quota: int
    mmr_lambda: float
    caps: _containers.RepeatedCompositeFieldContainer[AttributeCap]
    def __init__(self, interest_weights: _Optional[_Iterable[float]] = ..., interest_quota: _Optional[int] = ..., mmr_lambda: _Optional[float] = ..., caps: _Optional[_Iterable[_Union[AttributeCap, _Mapping]]] = ...) -> None: ...

class AttributeCap(_message.Message):
    __slots__ = ("attribute", "most")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    most: int
    def __init__(self, attribute: _Optional[str] = ..., most: _Optional[int] = ...) -> None: ...

class Blend(_message.Message):
    __slots__ = ("popular", "fresh")
    POPULAR_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    popular: int
    fresh: int
    def __init__(self, popular: _Optional[int] = ..., fresh: _Optional[int] = ...) -> None: ...

class Exclude(_message.Message):
    __slots__ = ("items", "allow_seen")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_SEEN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    allow_seen: bool
    def __init__(self, items: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., allow_seen: _Optional[bool] = ...) -> None: ...

class RecallOptions(_message.Message):
    __slots__ = ("exact", "with_item", "min_coverage", "reproducible", "with_tokens")
    EXACT_FIELD_NUMBER: _ClassVar[int]
    WITH_ITEM_FIELD_NUMBER: _ClassVar[int]
    MIN_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    REPRODUCIBLE_FIELD_NUMBER: _ClassVar[int]
    WITH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    exact: bool
    with_item: bool
    min_coverage: float
    reproducible: bool
    with_tokens: bool
    def __init__(self, exact: _Optional[bool] = ..., with_item: _Optional[bool] = ..., min_coverage: _Optional[float] = ..., reproducible: _Optional[bool] = ..., with_tokens: _Optional[bool] = ...) -> None: ...

class RecallResponse(_message.Message):
    __slots__ = ("candidates", "generation", "space", "coverage", "degraded_reasons", "timings", "cold_start", "variant", "next_page_token", "recall_token")
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    COLD_START_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RECALL_TOKEN_FIELD_NUMBER: _ClassVar[int]
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    generation: str
    space: str
    coverage: Coverage
    degraded_reasons: _containers.RepeatedScalarFieldContainer[DegradedReason]
    timings: StageTimings
    cold_start: bool
    variant: Variant
    next_page_token: str
    recall_token: str
    def __init__(self, candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., generation: _Optional[str] = ..., space: _Optional[str] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., degraded_reasons: _Optional[_Iterable[_Union[DegradedReason, str]]] = ..., timings: _Optional[_Union[StageTimings, _Mapping]] = ..., cold_start: _Optional[bool] = ..., variant: _Optional[_Union[Variant, str]] = ..., next_page_token: _Optional[str] = ..., recall_token: _Optional[str] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("id", "score", "interest", "source", "item")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    INTEREST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    id: int
    score: float
    interest: int
    source: Source
    item: _catalog_pb2.Item
    def __init__(self, id: _Optional[int] = ..., score: _Optional[float] = ..., interest: _Optional[int] = ..., source: _Optional[_Union[Source, str]] = ..., item: _Optional[_Union[_catalog_pb2.Item, _Mapping]] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("fraction", "items_searched", "items_eligible", "items_total", "shards_answered", "shards_total", "exact", "items_fresh", "delta")
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_SEARCHED_FIELD_NUMBER: _ClassVar[int]
    ITEMS_ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SHARDS_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FRESH_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    fraction: float
    items_searched: int
    items_eligible: int
    items_total: int
    shards_answered: int
    shards_total: int
    exact: bool
    items_fresh: int
    delta: int
    def __init__(self, fraction: _Optional[float] = ..., items_searched: _Optional[int] = ..., items_eligible: _Optional[int] = ..., items_total: _Optional[int] = ..., shards_answered: _Optional[int] = ..., shards_total: _Optional[int] = ..., exact: _Optional[bool] = ..., items_fresh: _Optional[int] = ..., delta: _Optional[int] = ...) -> None: ...

class StageTimings(_message.Message):
    __slots__ = ("embed", "search", "total")
    EMBED_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    embed: _duration_pb2.Duration
    search: _duration_pb2.Duration
    total: _duration_pb2.Duration
    def __init__(self, embed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., search: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class BatchRecallRequest(_message.Message):
    __slots__ = ("recalls",)
    RECALLS_FIELD_NUMBER: _ClassVar[int]
    recalls: _containers.RepeatedCompositeFieldContainer[RecallRequest]
    def __init__(self, recalls: _Optional[_Iterable[_Union[RecallRequest, _Mapping]]] = ...) -> None: ...

class BatchRecallResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RecallResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RecallResult, _Mapping]]] = ...) -> None: ...

class RecallResult(_message.Message):
    __slots__ = ("answer", "failure")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    answer: RecallResponse
    failure: RecallFailure
    def __init__(self, answer: _Optional[_Union[RecallResponse, _Mapping]] = ..., failure: _Optional[_Union[RecallFailure, _Mapping]] = ...) -> None: ...

class RecallFailure(_message.Message):
    __slots__ = ("code", "message", "reason", "retry_after")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    retry_after: _duration_pb2.Duration
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StreamRecallRequest(_message.Message):
    __slots__ = ("correlation_id", "recall")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    recall: RecallRequest
    def __init__(self, correlation_id: _Optional[str] = ..., recall: _Optional[_Union[RecallRequest, _Mapping]] = ...) -> None: ...

class StreamRecallResponse(_message.Message):
    __slots__ = ("correlation_id", "result")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    result: RecallResult
    def __init__(self, correlation_id: _Optional[str] = ..., result: _Optional[_Union[RecallResult, _Mapping]] = ...) -> None: ...

class SimilarItemsRequest(_message.Message):
    __slots__ = ("items", "page_size", "exclude", "filter", "options", "generation")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    page_size: int
    exclude: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    filter: _filter_pb2.Filter
    options: RecallOptions
    generation: str
    def __init__(self, items: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., page_size: _Optional[int] = ..., exclude: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]] = ..., options: _Optional[_Union[RecallOptions, _Mapping]] = ..., generation: _Optional[str] = ...) -> None: ...

class SimilarItemsResponse(_message.Message):
    __slots__ = ("candidates", "missing", "generation", "space", "coverage", "degraded_reasons")
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    missing: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    generation: str
    space: str
    coverage: Coverage
    degraded_reasons: _containers.RepeatedScalarFieldContainer[DegradedReason]
    def __init__(self, candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., generation: _Optional[str] = ..., space: _Optional[str] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., degraded_reasons: _Optional[_Iterable[_Union[DegradedReason, str]]] = ...) -> None: ...

class ScoreItemsRequest(_message.Message):
    __slots__ = ("user_id", "context", "consistency_token", "items", "generation", "experiment_unit", "reproducible", "with_item")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_UNIT_FIELD_NUMBER: _ClassVar[int]
    REPRODUCIBLE_FIELD_NUMBER: _ClassVar[int]
    WITH_ITEM_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    context: _features_pb2.UserContext
    consistency_token: str
    items: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    generation: str
    experiment_unit: str
    reproducible: bool
    with_item: bool
    def __init__(self, user_id: _Optional[str] = ..., context: _Optional[_Union[_features_pb2.UserContext, _Mapping]] = ..., consistency_token: _Optional[str] = ..., items: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., generation: _Optional[str] = ..., experiment_unit: _Optional[str] = ..., reproducible: _Optional[bool] = ..., with_item: _Optional[bool] = ...) -> None: ...

class ScoreItemsResponse(_message.Message):
    __slots__ = ("candidates", "missing", "generation", "space", "degraded_reasons", "cold_start", "variant")
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    COLD_START_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    missing: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    generation: str
    space: str
    degraded_reasons: _containers.RepeatedScalarFieldContainer[DegradedReason]
    cold_start: bool
    variant: Variant
    def __init__(self, candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., generation: _Optional[str] = ..., space: _Optional[str] = ..., degraded_reasons: _Optional[_Iterable[_Union[DegradedReason, str]]] = ..., cold_start: _Optional[bool] = ..., variant: _Optional[_Union[Variant, str]] = ...) -> None: ...

class ExplainRecallRequest(_message.Message):
    __slots__ = ("recall", "items", "reasons")
    RECALL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    recall: RecallRequest
    items: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    reasons: int
    def __init__(self, recall: _Optional[_Union[RecallRequest, _Mapping]] = ..., items: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., reasons: _Optional[int] = ...) -> None: ...

class ExplainRecallResponse(_message.Message):
    __slots__ = ("explanations", "missing", "generation", "space", "variant")
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    explanations: _containers.RepeatedCompositeFieldContainer[Explanation]
    missing: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    generation: str
    space: str
    variant: Variant
    def __init__(self, explanations: _Optional[_Iterable[_Union[Explanation, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ..., generation: _Optional[str] = ..., space: _Optional[str] = ..., variant: _Optional[_Union[Variant, str]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("candidate", "rank", "reasons")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    candidate: Candidate
    rank: int
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, candidate: _Optional[_Union[Candidate, _Mapping]] = ..., rank: _Optional[int] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("item", "similarity", "attention", "score_without", "rank_without")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    ATTENTION_FIELD_NUMBER: _ClassVar[int]
    SCORE_WITHOUT_FIELD_NUMBER: _ClassVar[int]
    RANK_WITHOUT_FIELD_NUMBER: _ClassVar[int]
    item: _catalog_pb2.Item
    similarity: float
    attention: float
    score_without: float
    rank_without: int
    def __init__(self, item: _Optional[_Union[_catalog_pb2.Item, _Mapping]] = ..., similarity: _Optional[float] = ..., attention: _Optional[float] = ..., score_without: _Optional[float] = ..., rank_without: _Optional[int] = ...) -> None: ...

class ReplayRecallRequest(_message.Message):
    __slots__ = ("recall", "recall_token", "generation")
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RECALL_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    recall: RecallRequest
    recall_token: str
    generation: str
    def __init__(self, recall: _Optional[_Union[RecallRequest, _Mapping]] = ..., recall_token: _Optional[str] = ..., generation: _Optional[str] = ...) -> None: ...

class ReplayRecallResponse(_message.Message):
    __slots__ = ("answer", "identical", "overlap", "entered", "left")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    IDENTICAL_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    answer: RecallResponse
    identical: bool
    overlap: float
    entered: _containers.RepeatedScalarFieldContainer[int]
    left: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, answer: _Optional[_Union[RecallResponse, _Mapping]] = ..., identical: _Optional[bool] = ..., overlap: _Optional[float] = ..., entered: _Optional[_Iterable[int]] = ..., left: _Optional[_Iterable[int]] = ...) -> None: ...
