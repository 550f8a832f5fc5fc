//! Actors that die: nobody waits for ever, nothing is lost, and no operation overtakes an earlier one.

use futures::future::join_all;
#[cfg(debug_assertions)]
use purser::ledger::WalletId;

use super::{Engine, credit, word};
use crate::support::{PATIENCE, operation, poll_until};

#[actix_rt::test]
async fn a_lane_that_panics_answers_everyone_and_lets_nothing_in() {
    let engine = Engine::start(20, |settings| settings.engine.lanes = 1).await;
    let mut submissions = Vec::new();
    for cents in 1..=20 {
        submissions.extend((1..=20).map(|wallet| ((wallet, cents), engine.submit(&credit(wallet, cents)))));
        if cents == 10 {
            // It is called on the lane's thread, in the place of wallet 1's next credit.
            engine.processor.submit_with(operation("balance 1"), |_| panic!("a bug, on purpose"));
        }
    }
    let died = tokio::time::timeout(PATIENCE, engine.processor.until_a_lane_died());
    died.await.expect("the death of a lane is seen");
    let (credits, submissions): (Vec<_>, Vec<_>) = submissions.into_iter().unzip();
    let answers = tokio::time::timeout(PATIENCE, join_all(submissions)).await.expect("nobody waits for ever");
    let words: Vec<_> = answers.iter().map(word).collect();
    for ((wallet, cents), word) in credits.into_iter().zip(words) {
        assert!(["Success", "abandoned", "shutting down"].contains(&word), "{word}");
        let is_behind = wallet == 1 && cents > 10;
        assert!(word != "Success" || !is_behind, "{cents}: nobody is left who could have done it");
    }
    assert!(engine.processor.is_closed());
    assert_eq!(word(&engine.submit(&credit(1, 1)).await), "shutting down");
    poll_until(PATIENCE, "nothing is in flight", async || engine.processor.in_flight() == 0).await;
    poll_until(PATIENCE, "no actor is left", async || engine.processor.actors() == 0).await;
    assert_eq!(engine.metrics.actor_panics.with_label_values(&["lane"]).get(), 1);
    assert_eq!(engine.processor.drain(PATIENCE).await, 0);
    engine.assert_no_gap().await;
}

#[cfg(debug_assertions)]
#[actix_rt::test]
async fn behind_an_abandoned_operation_a_sequence_goes_on_with_other_wallets_only() {
    let engine = Engine::start(2, |_| {}).await;
    let submit = |sequence: &purser::engine::Sequence, sentence: &str| {
        let (sender, answer) = tokio::sync::oneshot::channel();
        sequence.submit_with(operation(sentence), move |result| drop(sender.send(result)));
        async move { word(&answer.await.expect("it is answered")) }
    };
    let sequence = engine.processor.sequence();
    assert_eq!(submit(&sequence, &credit(1, 1)).await, "Success");
    engine.processor.panic_in_actor(WalletId(1));
    let panics = || engine.metrics.actor_panics.with_label_values(&["wallet"]).get();
    poll_until(PATIENCE, "the actor panicked", async || panics() == 1).await;
    for _ in 0..3 {
        assert_eq!(submit(&sequence, "invoice 1 9 USD").await, "abandoned");
    }
    assert_eq!(submit(&sequence, &credit(2, 1)).await, "Success");
    // Whoever begins anew, or minds no order, goes on.
    assert_eq!(submit(&engine.processor.sequence(), &credit(1, 2)).await, "Success");
    assert_eq!(word(&engine.submit(&credit(1, 3)).await), "Success");
    engine.assert_in_line(4).await;
}
