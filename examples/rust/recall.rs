//! Asks a running gateway for recommendations: `recall [ADDRESS] [USER]`.

use std::env;

use proto::v1::{RecallOptions, RecallRequest, recall_service_client::RecallServiceClient};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example for people")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:50050".to_owned());
    let user_id = arguments.next().unwrap_or_else(|| "42".to_owned());

    let mut gateway = RecallServiceClient::connect(format!("http://{address}")).await?;
    let request = RecallRequest {
        user_id,
        page_size: 5,
        options: Some(RecallOptions {
            with_item: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    for candidate in gateway.recall(request).await?.into_inner().candidates {
        let title = candidate.item.map(|item| item.title).unwrap_or_default();
        println!("{:8.3}  {:>6}  {title}", candidate.score, candidate.id);
    }
    Ok(())
}
