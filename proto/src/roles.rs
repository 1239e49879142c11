//! Who may make each call, by the role of a certificate or a token; who is not named may not.
//!
//! - `reader` asks for recommendations and items, e.g. a web shop
//! - `writer` records what users do and who they are, and reads it; also what an explanation tells of it
//! - `editor` puts items in and takes them out
//! - `service` is one of our own servers
//! - `admin` decides which generation serves, and moves users

const RECALL: &[&str] = &["reader", "service"];
const ITEMS: &[&str] = &["reader", "editor", "service"];
const EDIT: &[&str] = &["editor", "service"];
const USERS: &[&str] = &["writer", "service"];
const INSIDE: &[&str] = &["service"];
const WATCHED: &[&str] = &["admin", "service"];
const OPERATORS: &[&str] = &["admin"];

/// The roles of every call, by its path.
pub const ROLES: &[(&str, &[&str])] = &[
    ("/twotower.v1.RecallService/Recall", RECALL),
    ("/twotower.v1.RecallService/BatchRecall", RECALL),
    ("/twotower.v1.RecallService/StreamRecall", RECALL),
    ("/twotower.v1.RecallService/SimilarItems", RECALL),
    ("/twotower.v1.RecallService/ScoreItems", RECALL),
    ("/twotower.v1.RecallService/ExplainRecall", USERS),
    ("/twotower.v1.RecallService/ReplayRecall", RECALL),
    ("/twotower.v1.EventService/RecordEvents", USERS),
    ("/twotower.v1.EventService/GetUser", USERS),
    ("/twotower.v1.EventService/PutUserProfile", USERS),
    ("/twotower.v1.EventService/DeleteUser", USERS),
    ("/twotower.v1.CatalogService/UpsertItems", EDIT),
    ("/twotower.v1.CatalogService/DeleteItems", EDIT),
    ("/twotower.v1.CatalogService/GetItems", ITEMS),
    ("/twotower.v1.CatalogService/ListPopularItems", ITEMS),
    ("/twotower.v1.UserTowerService/EmbedUsers", INSIDE),
    (
        "/twotower.v1.UserTowerService/GetUserModelSignature",
        WATCHED,
    ),
    ("/twotower.v1.UserTowerService/ImportUsers", OPERATORS),
    ("/twotower.v1.UserTowerService/ExportUsers", OPERATORS),
    ("/twotower.v1.UserTowerService/ForgetUsers", OPERATORS),
    ("/twotower.v1.ItemTowerService/EmbedItems", INSIDE),
    (
        "/twotower.v1.ItemTowerService/GetItemModelSignature",
        WATCHED,
    ),
    ("/twotower.v1.SearchService/Search", INSIDE),
    ("/twotower.v1.SearchService/GetVectors", INSIDE),
    ("/twotower.v1.SearchService/ListShards", WATCHED),
    ("/twotower.v1.GenerationService/ListGenerations", WATCHED),
    ("/twotower.v1.GenerationService/GetGeneration", WATCHED),
    ("/twotower.v1.GenerationService/WatchGeneration", WATCHED),
    ("/twotower.v1.TrafficService/GetTraffic", OPERATORS),
    ("/twotower.v1.TrafficService/PromoteGeneration", OPERATORS),
    ("/twotower.v1.TrafficService/RollbackGeneration", OPERATORS),
    ("/twotower.v1.TrafficService/SetTrafficPolicy", OPERATORS),
    ("/twotower.v1.TrafficService/GetVerdict", OPERATORS),
    ("/inference.GRPCInferenceService/ServerLive", INSIDE),
    ("/inference.GRPCInferenceService/ServerReady", INSIDE),
    ("/inference.GRPCInferenceService/ModelReady", INSIDE),
    ("/inference.GRPCInferenceService/ServerMetadata", INSIDE),
    ("/inference.GRPCInferenceService/ModelMetadata", INSIDE),
    ("/inference.GRPCInferenceService/ModelInfer", INSIDE),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The path of every call of the descriptors.
    fn paths() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap();
        let of_file = |file: prost_types::FileDescriptorProto| {
            let package = file.package().to_owned();
            let services = file.service.into_iter().flat_map(move |service| {
                let name = format!("{package}.{}", service.name());
                let methods = service.method.into_iter();
                methods.map(move |method| format!("/{name}/{}", method.name()))
            });
            services.collect::<Vec<_>>()
        };
        set.file.into_iter().flat_map(of_file).collect()
    }

    #[test]
    fn every_call_has_its_roles_and_no_other_does() {
        let named: BTreeSet<_> = ROLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(named, paths());
        assert_eq!(named.len(), ROLES.len(), "a call stands twice");
    }

    #[test]
    fn there_are_five_roles() {
        let roles = ROLES.iter().flat_map(|(_, roles)| roles.iter().copied());
        let roles: BTreeSet<_> = roles.collect();
        let known = BTreeSet::from(["admin", "editor", "reader", "service", "writer"]);
        assert_eq!(roles, known);
    }
}
