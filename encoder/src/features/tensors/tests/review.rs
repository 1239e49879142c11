//! What a model makes of a profile.

use super::*;
use crate::features::tensors::review::Review;

#[test]
fn a_review_tells_what_is_not_read_what_is_unseen_and_what_cannot_be_taken() {
    let mut signature = signature("left", "oldest_first");
    let mut age = signature.user.inputs[1].clone();
    age.source = Source::User("age".to_owned());
    signature.user.inputs.push(age);
    let tensors = UserTensors::new(&signature, &vocabularies(&signature));
    let review = |features: &[(&str, Value)]| {
        let features = features
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        tensors.review(&features.collect())
    };
    let known = [("gender", "F".into()), ("age", Value::Number(25.0))];
    assert_eq!(review(&known), Review::default());
    assert_eq!(review(&[("age", "25".into())]), Review::default());
    let found = review(&[
        ("gender", "X".into()),
        ("shoe size", "44".into()),
        ("age", "old".into()),
    ]);
    assert_eq!(found.unseen, ["gender"]);
    assert_eq!(found.unread, ["shoe size"]);
    let wrong = (
        "age".to_owned(),
        "is the text \"old\", the model reads a number".to_owned(),
    );
    assert_eq!(found.wrong, [wrong]);
}
