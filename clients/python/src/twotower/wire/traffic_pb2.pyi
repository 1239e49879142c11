import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Traffic(_message.Message):
    __slots__ = ("serving", "previous", "candidate", "candidate_share", "shadow_share", "pinned", "laggards")
    SERVING_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_SHARE_FIELD_NUMBER: _ClassVar[int]
    SHADOW_SHARE_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    LAGGARDS_FIELD_NUMBER: _ClassVar[int]
    serving: str
    previous: str
    candidate: str
    candidate_share: float
    shadow_share: float
    pinned: str
    laggards: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, serving: _Optional[str] = ..., previous: _Optional[str] = ..., candidate: _Optional[str] = ..., candidate_share: _Optional[float] = ..., shadow_share: _Optional[float] = ..., pinned: _Optional[str] = ..., laggards: _Optional[_Iterable[str]] = ...) -> None: ...

class GetTrafficRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTrafficResponse(_message.Message):
    __slots__ = ("traffic",)
    TRAFFIC_FIELD_NUMBER: _ClassVar[int]
    traffic: Traffic
    def __init__(self, traffic: _Optional[_Union[Traffic, _Mapping]] = ...) -> None: ...

class PromoteGenerationRequest(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: str
    def __init__(self, generation: _Optional[str] = ...) -> None: ...

class PromoteGenerationResponse(_message.Message):
    __slots__ = ("traffic",)
    TRAFFIC_FIELD_NUMBER: _ClassVar[int]
    traffic: Traffic
    def __init__(self, traffic: _Optional[_Union[Traffic, _Mapping]] = ...) -> None: ...

class RollbackGenerationRequest(_message.Message):
    __slots__ = ()
    FROM_FIELD_NUMBER: _ClassVar[int]
    def __init__(self, **kwargs) -> None: ...

class RollbackGenerationResponse(_message.Message):
    __slots__ = ("traffic",)
    TRAFFIC_FIELD_NUMBER: _ClassVar[int]
    traffic: Traffic
    def __init__(self, traffic: _Optional[_Union[Traffic, _Mapping]] = ...) -> None: ...

class SetTrafficPolicyRequest(_message.Message):
    __slots__ = ("candidate", "candidate_share", "shadow_share")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_SHARE_FIELD_NUMBER: _ClassVar[int]
    SHADOW_SHARE_FIELD_NUMBER: _ClassVar[int]
    candidate: str
    candidate_share: float
    shadow_share: float
    def __init__(self, candidate: _Optional[str] = ..., candidate_share: _Optional[float] = ..., shadow_share: _Optional[float] = ...) -> None: ...

class SetTrafficPolicyResponse(_message.Message):
    __slots__ = ("traffic",)
    TRAFFIC_FIELD_NUMBER: _ClassVar[int]
    traffic: Traffic
    def __init__(self, traffic: _Optional[_Union[Traffic, _Mapping]] = ...) -> None: ...

class GetVerdictRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetVerdictResponse(_message.Message):
    __slots__ = ("serving", "candidate", "recalls", "failed", "skipped", "overlap", "score_drift", "of_serving", "of_candidate")
    SERVING_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    RECALLS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    SCORE_DRIFT_FIELD_NUMBER: _ClassVar[int]
    OF_SERVING_FIELD_NUMBER: _ClassVar[int]
    OF_CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    serving: str
    candidate: str
    recalls: int
    failed: int
    skipped: int
    overlap: float
    score_drift: float
    of_serving: VariantFigures
    of_candidate: VariantFigures
    def __init__(self, serving: _Optional[str] = ..., candidate: _Optional[str] = ..., recalls: _Optional[int] = ..., failed: _Optional[int] = ..., skipped: _Optional[int] = ..., overlap: _Optional[float] = ..., score_drift: _Optional[float] = ..., of_serving: _Optional[_Union[VariantFigures, _Mapping]] = ..., of_candidate: _Optional[_Union[VariantFigures, _Mapping]] = ...) -> None: ...

class VariantFigures(_message.Message):
    __slots__ = ("latency_p50", "latency_p99", "coverage", "degraded")
    LATENCY_P50_FIELD_NUMBER: _ClassVar[int]
    LATENCY_P99_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    latency_p50: _duration_pb2.Duration
    latency_p99: _duration_pb2.Duration
    coverage: float
    degraded: float
    def __init__(self, latency_p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., latency_p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., coverage: _Optional[float] = ..., degraded: _Optional[float] = ...) -> None: ...
