//! What kind of failure the records of a run name: messages may be reworded, kinds stay.

use mail_tests::run::Outcome;

pub(crate) trait Kinds: Sized {
    /// The kinds of all failures, in order.
    fn kinds(&self) -> Vec<String>;

    /// Asserts the kinds of all failures.
    fn assert_kinds(self, expected: &[&str]) -> Self;
}

impl Kinds for Outcome {
    fn kinds(&self) -> Vec<String> {
        let errors = self.data("error").into_iter();
        errors
            .map(|error| error["kind"].as_str().unwrap_or("none").to_owned())
            .collect()
    }

    #[track_caller]
    fn assert_kinds(self, expected: &[&str]) -> Self {
        assert_eq!(
            self.kinds(),
            expected,
            "kinds of failures; stderr:\n{}",
            self.stderr
        );
        self
    }
}
