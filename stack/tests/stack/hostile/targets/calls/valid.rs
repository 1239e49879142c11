//! Good messages of the calls that need one to get anywhere, in protobuf's text format.

use prost_reflect::DynamicMessage;

use super::rpc::Rpc;

/// By service and method. Words in capitals stand for what a site has.
const VALID: [(&str, &str); 29] = [
    (
        "RecallService/Recall",
        r#"user_id: "1" page_size: 5
        context {
            features { values { key: "gender" value { text: "F" } } values { key: "age" value { number: 25 } } }
            history { item { id: 2 } type: "rating" value: 4 time: 1000000000 event_id: "e" }
        }
        exclude { items { id: 1 } items { key: "k" } }
        options { with_item: true min_coverage: 0.5 }
        filter {
            must { keyword { attribute: "genres" values: "Drama" values: "War" } }
            should { range { attribute: "year" min: 1950 max: 2005 } }
            should { has_id { items { id: 3 } } }
            must_not { range { attribute: "year" max: 1940 } }
        }
        diversity { interest_weights: 1 mmr_lambda: 0.7 caps { attribute: "genres" most: 3 } }"#,
    ),
    (
        "RecallService/Recall",
        r#"user_id: "1" page_size: 5 options { with_tokens: true } page_token: "PAGE""#,
    ),
    (
        "RecallService/Recall",
        r#"user_id: "2" page_size: 9 blend { popular: 2 fresh: 2 } consistency_token: "WRITTEN" generation: "PREVIOUS""#,
    ),
    (
        "RecallService/BatchRecall",
        r#"recalls { user_id: "1" page_size: 3 } recalls { context { history { item { id: 2 } } } experiment_unit: "u" }"#,
    ),
    (
        "RecallService/StreamRecall",
        r#"correlation_id: "c" recall { user_id: "1" page_size: 3 options { exact: true } }"#,
    ),
    (
        "RecallService/SimilarItems",
        r#"items { id: 4 } items { id: 7 } page_size: 5 exclude { id: 9 } options { with_item: true }"#,
    ),
    (
        "RecallService/ScoreItems",
        r#"user_id: "1" items { id: 4 } items { key: "k" } with_item: true reproducible: true"#,
    ),
    (
        "RecallService/ExplainRecall",
        r#"recall { user_id: "1" page_size: 5 } items { id: 4 } reasons: 2"#,
    ),
    (
        "RecallService/ReplayRecall",
        r#"recall { user_id: "1" page_size: 5 options { with_tokens: true } } recall_token: "RECALLED""#,
    ),
    (
        "EventService/RecordEvents",
        r#"events { user_id: "1" item { id: 3 } type: "rating" value: 4 time: 1000000000 event_id: "a" }
        events { user_id: "2" item { id: 5 } time: 1000000001 event_id: "b" }"#,
    ),
    ("EventService/GetUser", r#"user_id: "1" newest: 5"#),
    (
        "EventService/PutUserProfile",
        r#"user_id: "1" profile {
            values { key: "gender" value { text: "F" } }
            values { key: "age" value { number: 25 } }
            values { key: "tags" value { list { values: "a" values: "b" } } }
        }"#,
    ),
    ("EventService/DeleteUser", r#"user_id: "3""#),
    (
        "CatalogService/UpsertItems",
        r#"items {
            id: 12 title: "Twelve"
            features {
                values { key: "kind" value { text: "a" } }
                values { key: "year" value { number: 1990 } }
                values { key: "genres" value { list { values: "Drama" } } }
            }
        }"#,
    ),
    (
        "CatalogService/DeleteItems",
        r#"items { id: 13 } items { key: "k" }"#,
    ),
    (
        "CatalogService/GetItems",
        r#"items { id: 4 } items { key: "k" } generation: "GENERATION""#,
    ),
    (
        "CatalogService/ListPopularItems",
        r#"k: 5 filter { must { keyword { attribute: "genres" values: "Drama" } } } shards: 0"#,
    ),
    (
        "SearchService/Search",
        r#"generation: "GENERATION" interests { f32: "VECTOR" dim: 8 space: "SPACE" } shards { shard: 0 exclude: 1 exclude: 2 } k: 5
        filter { must_not { keyword { attribute: "genres" values: "War" } } }"#,
    ),
    (
        "SearchService/GetVectors",
        r#"generation: "GENERATION" ids: [1, 2, 3, 4]"#,
    ),
    (
        "UserTowerService/EmbedUsers",
        r#"generation: "GENERATION" reproducible: true with_attention: true with_history: true
        users { user_id: "1" context { history { item { id: 2 } time: 1000000000 } } without: 5 consistency_token: "WRITTEN" }
        users { context { features { values { key: "age" value { number: 25 } } } } }"#,
    ),
    (
        "UserTowerService/GetUserModelSignature",
        r#"generation: "GENERATION""#,
    ),
    (
        "UserTowerService/ImportUsers",
        r#"events { user_id: "4" item { id: 3 } type: "rating" value: 4 time: 1000000000 event_id: "b" }
        profiles { user_id: "4" features { values { key: "gender" value { text: "M" } } } }
        users {
            user_id: "5" arrived: 1700000000000000 seen: 3 seen_arrived: 1700000000000000
            events { item { id: 3 } time: 1000000000 event_id: "c" } events_arrived: 1700000000000000
        }"#,
    ),
    (
        "ItemTowerService/EmbedItems",
        r#"artifact: "SPACE" items { id: 4 } items { id: 999 features { values { key: "kind" value { text: "b" } } } }"#,
    ),
    (
        "ItemTowerService/GetItemModelSignature",
        r#"artifact: "SPACE""#,
    ),
    (
        "GenerationService/GetGeneration",
        r#"generation: "GENERATION""#,
    ),
    (
        "TrafficService/SetTrafficPolicy",
        r#"candidate: "PREVIOUS" candidate_share: 0.5 shadow_share: 0.5"#,
    ),
    (
        "TrafficService/PromoteGeneration",
        r#"generation: "GENERATION""#,
    ),
    (
        "GRPCInferenceService/ModelMetadata",
        r#"name: "user_tower""#,
    ),
    (
        "GRPCInferenceService/ModelInfer",
        r#"model_name: "user_tower" id: "r"
        inputs { name: "history" datatype: "INT64" shape: [1, 5] contents { int64_contents: [0, 0, 0, 2, 3] } }
        inputs { name: "hours" datatype: "FP32" shape: [1, 5] contents { fp32_contents: [0, 0, 0, 1, 2] } }"#,
    ),
];

/// A vector of eight ones.
const VECTOR: &str = r"\000\000\200\077";

/// The good messages of an RPC; `words` are what each word in capitals stands for.
///
/// # Panics
/// If one is none.
pub(super) fn of(rpc: &Rpc, words: &[(&str, &str)]) -> Vec<DynamicMessage> {
    let path = rpc.path().to_string();
    let texts = VALID.iter().filter(|(name, _)| path.ends_with(name));
    let messages = texts.map(|(name, text)| {
        let text = text.replace("VECTOR", &VECTOR.repeat(8));
        let text = words.iter().fold(text, |text, (word, with)| {
            text.replace(&format!("\"{word}\""), &format!("\"{with}\""))
        });
        let message = DynamicMessage::parse_text_format(rpc.method.input(), &text);
        message.unwrap_or_else(|cause| panic!("{name}: {cause}"))
    });
    messages.collect()
}
