from . import features_pb2 as _features_pb2
from . import filter_pb2 as _filter_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpsertItemsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ...) -> None: ...

class UpsertItemsResponse(_message.Message):
    __slots__ = ("delta", "not_embedded")
    DELTA_FIELD_NUMBER: _ClassVar[int]
    NOT_EMBEDDED_FIELD_NUMBER: _ClassVar[int]
    delta: int
    not_embedded: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, delta: _Optional[int] = ..., not_embedded: _Optional[_Iterable[int]] = ...) -> None: ...

class DeleteItemsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    def __init__(self, items: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ...) -> None: ...

class DeleteItemsResponse(_message.Message):
    __slots__ = ("delta",)
    DELTA_FIELD_NUMBER: _ClassVar[int]
    delta: int
    def __init__(self, delta: _Optional[int] = ...) -> None: ...

class GetItemsRequest(_message.Message):
    __slots__ = ("generation", "items")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    generation: str
    items: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    def __init__(self, generation: _Optional[str] = ..., items: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ...) -> None: ...

class GetItemsResponse(_message.Message):
    __slots__ = ("items", "missing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    missing: _containers.RepeatedCompositeFieldContainer[_features_pb2.ItemRef]
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[_features_pb2.ItemRef, _Mapping]]] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("id", "key", "title", "features")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    id: int
    key: str
    title: str
    features: _features_pb2.Features
    def __init__(self, id: _Optional[int] = ..., key: _Optional[str] = ..., title: _Optional[str] = ..., features: _Optional[_Union[_features_pb2.Features, _Mapping]] = ...) -> None: ...

class ListPopularItemsRequest(_message.Message):
    __slots__ = ("generation", "k", "filter", "shards")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    generation: str
    k: int
    filter: _filter_pb2.Filter
    shards: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, generation: _Optional[str] = ..., k: _Optional[int] = ..., filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]] = ..., shards: _Optional[_Iterable[int]] = ...) -> None: ...

class ListPopularItemsResponse(_message.Message):
    __slots__ = ("generation", "ids", "counts", "eligible")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    generation: str
    ids: _containers.RepeatedScalarFieldContainer[int]
    counts: _containers.RepeatedScalarFieldContainer[int]
    eligible: int
    def __init__(self, generation: _Optional[str] = ..., ids: _Optional[_Iterable[int]] = ..., counts: _Optional[_Iterable[int]] = ..., eligible: _Optional[int] = ...) -> None: ...
