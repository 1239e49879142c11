//! `twotower recall`: recommends items to a user, page by page.

use proto::v1::{RecallResponse, recall_service_client::RecallServiceClient};
use serde_json::{Value, json};

use super::{answer, arguments::Recalled, connection::Connection, failure, json};

/// What to recall.
#[derive(Debug, clap::Args)]
pub struct Recall {
    #[command(flatten)]
    recalled: Recalled,
    /// Answer from this generation instead of the one that serves.
    #[arg(long)]
    generation: Option<String>,
    /// How many pages, one after the other; with --json they come as a list.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pages: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

impl Recall {
    /// Asks for a page after the other, until there is none any more.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = RecallServiceClient::new(self.connection.channel().await?);
        let mut request = self.recalled.request(self.generation.as_deref());
        let mut pages = Vec::new();
        for _ in 0..self.pages.unwrap_or(1) {
            let page = gateway.recall(request.clone()).await;
            let page = page.map_err(failure::of)?.into_inner();
            request.page_token.clone_from(&page.next_page_token);
            pages.push(page);
            if request.page_token.is_empty() {
                break;
            }
        }
        self.connection
            .print(|| document(&pages, self.pages.is_some()), || lines(&pages));
        Ok(())
    }
}

/// A list of pages, or the only one.
fn document(pages: &[RecallResponse], list: bool) -> Value {
    match pages {
        [page] if !list => json::recall(page),
        pages => json!({ "pages": json::list(pages, json::recall) }),
    }
}

fn lines(pages: &[RecallResponse]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut before = 0;
    for page in pages {
        if before > 0 {
            lines.push(String::new());
        }
        lines.extend(answer::recall(page, before));
        before += page.candidates.len();
    }
    lines
}

#[cfg(test)]
mod tests {
    use proto::v1::Candidate;

    use super::*;

    fn page(ids: &[u64]) -> RecallResponse {
        let candidate = |&id: &u64| Candidate {
            id,
            ..Default::default()
        };
        RecallResponse {
            candidates: ids.iter().map(candidate).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn ranks_go_on_from_page_to_page() {
        let lines = lines(&[page(&[7, 8]), page(&[9])]);
        let ranked = |start: &str| lines.iter().any(|line| line.trim().starts_with(start));
        assert!(ranked("1     7") && ranked("2     8") && ranked("3     9"));
    }

    #[test]
    fn the_only_page_is_the_document_unless_pages_were_asked_for() {
        let pages = [page(&[7])];
        assert_eq!(document(&pages, false)["candidates"][0]["id"], 7);
        assert_eq!(document(&pages, true)["pages"][0]["candidates"][0]["id"], 7);
    }
}
