//! What is not run.

use proto::inference::{
    ModelInferRequest, ModelMetadataRequest, model_infer_request::InferRequestedOutputTensor,
};
use service::status;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    house::{Site, USERS, check_refused},
    inference::{Client, IDS, MODEL, client, is_ready, raw, typed},
};

/// Expects a call to be refused for `field` alone.
async fn check_field(client: &mut Client, request: ModelInferRequest, field: &str, what: &str) {
    let refused = client.model_infer(request).await.unwrap_err();
    check_refused(&refused, Code::InvalidArgument, status::INVALID_FIELD);
    let named = refused.get_details_bad_request().unwrap().field_violations;
    let named: Vec<_> = named
        .into_iter()
        .map(|violation| (violation.field, violation.description))
        .collect();
    assert_eq!(named, [(field.to_owned(), what.to_owned())]);
}

#[tokio::test]
async fn an_unknown_model_or_version_is_not_found() {
    let tower = Site::published().await.start(USERS).await;
    let mut client = client(&tower).await;
    let names = [("item_tower", ""), (MODEL, "1"), ("", "")];
    for (name, version) in names {
        assert!(!is_ready(&mut client, name, version).await);
        let request = ModelMetadataRequest {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        let refused = client.model_metadata(request).await.unwrap_err();
        check_refused(&refused, Code::NotFound, status::MODEL_UNKNOWN);
        let request = ModelInferRequest {
            model_name: name.to_owned(),
            model_version: version.to_owned(),
            ..raw(&IDS)
        };
        let refused = client.model_infer(request).await.unwrap_err();
        check_refused(&refused, Code::NotFound, status::MODEL_UNKNOWN);
    }
}

#[tokio::test]
async fn tensors_that_do_not_fit_are_refused_by_field() {
    let tower = Site::published().await.start(USERS).await;
    let mut client = client(&tower).await;
    let mut check = async |request: ModelInferRequest, field: &str, what: &str| {
        check_field(&mut client, request, field, what).await;
    };
    // Of the request by itself.
    let mut short = raw(&IDS);
    short.inputs[0].shape = vec![2, 5];
    let takes = "has 40 bytes, shape [2, 5] of INT64 takes 80";
    check(short, "raw_input_contents[0]", takes).await;
    let mut both = typed(&IDS);
    both.raw_input_contents = raw(&IDS).raw_input_contents;
    let twice = "has elements, but raw_input_contents has them too";
    check(both, "inputs[0].contents", twice).await;
    let mut unknown = raw(&IDS);
    unknown.outputs = vec![InferRequestedOutputTensor {
        name: "item".to_owned(),
        ..InferRequestedOutputTensor::default()
    }];
    let gives = "is \"item\", the model gives [\"user\"]";
    check(unknown, "outputs[0].name", gives).await;
    // Of the request and the model.
    for id in [-1, 22] {
        let outside = format!("element 4 of input `history` is {id}, it must be 0 to 21");
        check(raw(&[0, 0, 0, 0, id]), "inputs[0]", &outside).await;
    }
    let mut none = raw(&IDS);
    (none.inputs, none.raw_input_contents) = (Vec::new(), Vec::new());
    check(none, "inputs", "input `history` is missing").await;
    let mut reshaped = raw(&IDS);
    reshaped.inputs[0].shape = vec![5];
    let shape = "input `history` is [5], the signature says [batch, 5]";
    check(reshaped, "inputs[0]", shape).await;
    let mut many = raw(&[0; 65 * 5]);
    many.inputs[0].shape = vec![65, 5];
    let rows = "input `history` has 65 rows, 1 to 64 are allowed";
    check(many, "inputs[0]", rows).await;
}
