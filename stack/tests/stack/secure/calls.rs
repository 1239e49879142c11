//! Who gets what of a house with certificates and tokens, by the programs that people use.

use std::{
    path::Path,
    process::{Command, Output},
};

use super::site::SITE;

/// Runs `twotower` as a caller with a token of `role`, none if it is empty.
fn twotower(address: &str, role: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twotower"));
    command
        .args(arguments)
        .args(["--gateway", &format!("https://{address}")])
        .arg("--authority")
        .arg(SITE.certs().join("authority.pem"));
    if !role.is_empty() {
        command.arg("--token-file").arg(SITE.token_file(role));
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

#[test]
fn callers_get_what_their_role_may_and_nothing_else() {
    let gateway = &SITE.gateway.address;
    let recall = ["recall", "--user", "nobody", "--k", "3"];
    let answered = twotower(gateway, "reader", &recall);
    assert!(answered.status.success(), "{}", said(&answered));
    for (role, why) in [("", "neither a token"), ("editor", "needs one of")] {
        let refused = twotower(gateway, role, &recall);
        assert!(!refused.status.success());
        assert!(said(&refused).contains(why), "{}", said(&refused));
    }
    let record = ["record", "--user", "by-token", "--item", "7"];
    assert!(!twotower(gateway, "reader", &record).status.success());
    let recorded = twotower(gateway, "writer", &record);
    assert!(recorded.status.success(), "{}", said(&recorded));
}

#[test]
fn operators_calls_are_answered_where_they_are_and_to_operators_alone() {
    let traffic = ["traffic"];
    let (gateway, admin) = (&SITE.gateway.address, &SITE.gateway.admin);
    let elsewhere = twotower(gateway, "admin", &traffic);
    assert!(
        said(&elsewhere).contains("admin_listen"),
        "{}",
        said(&elsewhere)
    );
    assert!(!twotower(admin, "reader", &traffic).status.success());
    let told = twotower(admin, "admin", &traffic);
    assert!(told.status.success(), "{}", said(&told));
}

#[test]
fn users_are_saved_by_an_operator_and_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let export = |name: &str| {
        let out = folder.path().join(name);
        let done = SITE
            .user_tower_command(name)
            .args(["export", "--out", out.to_str().unwrap()])
            .output()
            .unwrap();
        (done, out)
    };
    let (refused, _) = export("gateway");
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("needs one of the roles admin"),
        "{}",
        said(&refused)
    );
    let (done, out) = export("operator");
    assert!(done.status.success(), "{}", said(&done));
    assert!(out.join("users.parquet").exists());
}

#[test]
fn who_does_not_trust_the_authority_or_speaks_no_tls_gets_no_answer() {
    let gateway = &SITE.gateway.address;
    let plain = Command::new(env!("CARGO_BIN_EXE_twotower"))
        .args(["recall", "--user", "a", "--gateway"])
        .arg(format!("http://{gateway}"))
        .output()
        .unwrap();
    assert!(!plain.status.success());
    let folder = tempfile::tempdir().unwrap();
    let other = Command::new(env!("CARGO_BIN_EXE_twotower"))
        .arg("certs")
        .arg(folder.path())
        .output();
    assert!(other.unwrap().status.success());
    let stranger = Command::new(env!("CARGO_BIN_EXE_twotower"))
        .args(["recall", "--user", "a", "--gateway"])
        .arg(format!("https://{gateway}"))
        .arg("--authority")
        .arg(folder.path().join("authority.pem"))
        .output()
        .unwrap();
    assert!(!stranger.status.success());
}

#[test]
fn an_unmodified_client_works_with_tls_and_a_token() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let done = Command::new(workspace.join(".venv/bin/python"))
        .arg(workspace.join("examples/python/public_client.py"))
        .args([&SITE.gateway.address, "nobody"])
        .arg("--authority")
        .arg(SITE.certs().join("authority.pem"))
        .arg("--token-file")
        .arg(SITE.token_file("reader"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("\ncandidate "), "{}", said(&done));
}
