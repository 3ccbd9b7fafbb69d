//! The connection that environment, configuration and option file describe together.

use mail_common::config::{Config, MysqlSettings, Source};
use mail_common::report::Report;

use crate::error::Error;
use crate::options::{ConnectionSettings, Options};

impl ConnectionSettings {
    /// Reads how the server is reached: environment and configuration over the option file over the
    /// defaults. What its owner should know of the option file is a warning in `report`.
    ///
    /// # Errors
    /// When a value cannot be used, or the option file is there and cannot be read or understood.
    pub fn from_config(
        config: &Config,
        settings: &MysqlSettings,
        report: &Report,
    ) -> Result<Self, Error> {
        let mut options =
            Options::from_environment(|name| config.get(name).map(|setting| setting.value))?;
        if let Some(path) = &settings.config_file {
            let is_named = config
                .get("MYSQL_CONFIG_FILE")
                .is_some_and(|setting| setting.source != Source::Default);
            if is_named && !path.exists() {
                report.warning(format!(
                    "{} is not there (MYSQL_CONFIG_FILE)",
                    path.display()
                ));
            }
            let file = Options::from_file(path)?;
            if let Some(warning) = &file.warning {
                report.warning(warning);
            }
            options = options.or(file.options);
        }
        let login = config
            .get("USER")
            .map_or_else(|| "root".to_owned(), |setting| setting.value);
        Ok(options.settle(&login))
    }
}
