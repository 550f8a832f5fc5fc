//! System 000 over HTTP.

use super::check_golden;

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    check_golden("transactional_system").await;
}
