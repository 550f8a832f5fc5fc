//! System 002: its documented answers, and its own tests as ours.

use super::check_golden;

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    check_golden("wallet").await;
}
