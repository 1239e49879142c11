//! What Prometheus, its alerts and the runbook name exists.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;

use super::{compose, port_of, settings, workspace, yaml};

/// prometheus.yml, as far as it says whom to ask.
#[derive(Deserialize)]
struct Scraping {
    scrape_configs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    job_name: String,
    static_configs: Vec<Targets>,
}

#[derive(Deserialize)]
struct Targets {
    targets: Vec<String>,
}

/// alerts.yml, as far as it says where to read on.
#[derive(Deserialize)]
struct Alerts {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: String,
    annotations: BTreeMap<String, String>,
}

#[test]
fn every_server_of_compose_is_scraped_where_it_tells_its_metrics() {
    let compose = compose();
    let scraping: Scraping = yaml("deploy/prometheus/prometheus.yml");
    let mut scraped = BTreeMap::new();
    for job in scraping.scrape_configs {
        for target in job.static_configs.into_iter().flat_map(|one| one.targets) {
            let host = target.rsplit_once(':').unwrap().0.to_owned();
            assert_eq!(compose.services[&host].command[0], job.job_name);
            scraped.insert(host, port_of(&target));
        }
    }
    let told: BTreeMap<String, u16> = compose
        .ours()
        .filter(|(_, service)| service.healthcheck.is_some())
        .map(|(name, service)| {
            let settings = settings(service);
            let metrics = settings["telemetry"]["metrics"].as_str().unwrap();
            (name.clone(), port_of(metrics))
        })
        .collect();
    assert_eq!(scraped, told);
}

#[test]
fn every_alert_has_its_part_of_the_runbook() {
    let runbook = fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    let headings: Vec<String> = runbook
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let alerts: Alerts = yaml("deploy/prometheus/alerts.yml");
    let rules: Vec<Rule> = alerts
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect();
    assert!(rules.len() > 20);
    for rule in rules {
        let link = &rule.annotations["runbook"];
        let part = link.strip_prefix("docs/operations.md#").unwrap();
        assert!(
            headings.iter().any(|heading| heading == part),
            "{} leads to {link}, which is not there",
            rule.alert
        );
    }
}

#[test]
fn every_test_that_the_faults_are_covered_by_is_there() {
    let runbook = fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    let named: Vec<(&str, &str)> = runbook
        .split('`')
        .filter_map(|quoted| quoted.split_once(".rs::"))
        .collect();
    assert!(named.len() > 50);
    for (file, test) in named {
        let source = fs::read_to_string(workspace().join(format!("{file}.rs")));
        assert!(
            source.is_ok_and(|source| source.contains(&format!("fn {test}("))),
            "{file}.rs has no {test}"
        );
    }
}

/// The anchor that a heading gets where Markdown is shown.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}
