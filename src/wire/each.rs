//! A batch whose operations stand for themselves: each goes into its own wallet's line, and all outcomes make one answer.

use std::sync::{Arc, Mutex};

use super::{Part, Refusal};
use crate::engine::SubmitError;
use crate::ledger::{Operation, Outcome};

/// What is done with an operation's result.
pub type Answered = Box<dyn FnOnce(Result<Outcome, SubmitError>) + Send>;

/// Submits each operation, in order; calls `answer` once, when the last of them has its outcome, with one part for each.
pub fn submit_each(
    submit: impl Fn(Operation, Answered),
    each: Vec<Result<Operation, Refusal>>,
    answer: impl FnOnce(Vec<Part>) + Send + 'static,
) {
    let gathered = Arc::new(Gathered {
        parts: Mutex::new(each.iter().map(|one| one.as_ref().err().cloned().map(Part::Refused)).collect()),
        answer: Mutex::new(Some(Box::new(answer))),
    });
    for (position, operation) in each.into_iter().enumerate() {
        let Ok(operation) = operation else { continue };
        let kind = operation.request.kind();
        let gathered = Arc::clone(&gathered);
        submit(operation, Box::new(move |result| gathered.put(position, Part::Answered(kind, result))));
    }
}

/// Parts that come in any order, from any thread. Whoever lets go of it last has the answer given: then every part is there.
struct Gathered {
    parts: Mutex<Vec<Option<Part>>>,
    answer: Mutex<Option<Answer>>,
}

type Answer = Box<dyn FnOnce(Vec<Part>) + Send>;

impl Gathered {
    fn put(&self, position: usize, part: Part) {
        self.parts.lock().expect("nothing panics while it holds this lock")[position] = Some(part);
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let parts = std::mem::take(self.parts.get_mut().expect("nothing panics while it holds this lock"));
        let answer = self.answer.get_mut().expect("nothing panics while it holds this lock").take();
        if let Some(answer) = answer {
            // The engine answers exactly once for each, so there is no gap.
            answer(parts.into_iter().flatten().collect());
        }
    }
}
