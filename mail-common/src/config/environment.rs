//! Variables of the environment. Their values may be secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Variables of the environment, taken once.
#[derive(Clone, Default)]
pub struct Environment {
    pub(super) variables: BTreeMap<String, String>,
    not_text: BTreeSet<String>,
}

impl Environment {
    /// That of this process. Where cron or systemd gave no `HOME`, it is the one of the user
    /// database.
    #[must_use]
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(environment.variables.insert(name, value)),
                Err(_) => drop(environment.not_text.insert(name)),
            }
        }
        if let (None, Some(home)) = (environment.get("HOME"), std::env::home_dir())
            && let Ok(home) = home.into_os_string().into_string()
        {
            environment.variables.insert("HOME".to_owned(), home);
        }
        environment
    }

    /// Whether the value of a variable, if it has one, is UTF-8.
    pub(super) fn is_text(&self, name: &str) -> bool {
        !self.not_text.contains(name)
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let variables = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        Self {
            variables,
            not_text: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
