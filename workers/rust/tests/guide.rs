use std::time::Duration;

use longrun_sdk::wire::{Status, Submit};
use longrun_sdk::{CancellationToken, Client, Context, HandlerError, Worker};

async fn thumbnail(picture: String, context: Context) -> Result<String, HandlerError> {
    if context.attempt() == 1 {
        return Err(HandlerError::retryable("closed", "The shop is closed.").after(3600));
    }
    Ok(format!("{picture}.png"))
}

#[tokio::test]
async fn a_closed_shop_is_asked_again_an_hour_later() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("LONGRUN_URL")?;
    let client = Client::builder(&url).build()?;
    let shutdown = CancellationToken::new();
    let worker = Worker::builder(&*url).handler("thumbnail", thumbnail).build()?;
    let working = tokio::spawn(worker.run_until(shutdown.clone()));

    let id = client.submit(Submit::new("thumbnail").input("cat")?).await?.operation.id;
    let mut watch = client.watch(id);
    while let Some(event) = watch.next().await? {
        if event.operation.is_some_and(|operation| operation.error.is_some()) {
            break;
        }
    }
    client.advance_clock(Duration::from_mins(30)).await?;
    assert_eq!(client.get(id).await?.operation.status, Status::NotStarted);
    client.advance_clock(Duration::from_hours(1)).await?;
    let ended = client.wait(id, Duration::from_secs(10)).await?.operation;
    assert_eq!((ended.status, ended.attempts_count), (Status::Completed, Some(2)));

    shutdown.cancel();
    working.await??;
    Ok(())
}
