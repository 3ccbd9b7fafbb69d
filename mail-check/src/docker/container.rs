//! What the daemon knows of a container and of its image.

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, HealthStatusEnum, ImageInspect,
};
use jiff::Timestamp;

const SERVICE_LABEL: &str = "com.docker.compose.service";
const ONE_OFF_LABEL: &str = "com.docker.compose.oneoff";

/// Images are older than Docker only where their builder set no date: 2013-01-01.
const FIRST_IMAGE_SECOND: i64 = 1_356_998_400;

/// A container of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The service of the compose project.
    pub(crate) service: String,
    pub(crate) running: bool,
}

/// What inspection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) state: State,
    pub(crate) health: Health,
    /// How often the daemon has started it again since it was made.
    pub(crate) restarts: u64,
    pub(crate) exit_code: i64,
    /// Killed for want of memory.
    pub(crate) out_of_memory: bool,
    /// Why it could not be started; often empty.
    pub(crate) error: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) image_id: String,
    pub(crate) image_name: String,
    /// Whether it has a terminal: its log does not tell stderr from stdout then.
    pub(crate) tty: bool,
}

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
    /// The daemon does not say.
    Unsaid,
}

/// What its health check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It has none.
    Unchecked,
    Starting,
    Healthy,
    Unhealthy {
        failing_streak: u64,
        last_output: String,
    },
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: String,
    /// When it was built; `None` where its builder set no date.
    pub(crate) created: Option<Timestamp>,
}

impl Container {
    /// `None` for what `docker compose run` has made, and for what belongs to no service.
    pub(super) fn read(summary: ContainerSummary) -> Option<Self> {
        let labels = summary.labels.unwrap_or_default();
        if labels
            .get(ONE_OFF_LABEL)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return None;
        }
        let name = summary
            .names
            .unwrap_or_default()
            .into_iter()
            .next()
            .unwrap_or_default();
        Some(Self {
            id: summary.id?,
            name: name.trim_start_matches('/').to_owned(),
            service: labels.get(SERVICE_LABEL)?.clone(),
            running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
        })
    }
}

impl Details {
    pub(super) fn read(answer: ContainerInspectResponse) -> Self {
        let state = answer.state.unwrap_or_default();
        let config = answer.config.unwrap_or_default();
        Self {
            state: State::read(state.status),
            health: Health::read(&state),
            restarts: unsigned(answer.restart_count),
            exit_code: state.exit_code.unwrap_or_default(),
            out_of_memory: state.oom_killed.unwrap_or_default(),
            error: state.error.unwrap_or_default(),
            started: state.started_at.and_then(|text| text.parse().ok()),
            image_id: answer.image.unwrap_or_default(),
            image_name: config.image.unwrap_or_default(),
            tty: config.tty.unwrap_or_default(),
        }
    }
}

impl State {
    fn read(status: Option<ContainerStateStatusEnum>) -> Self {
        use ContainerStateStatusEnum as Said;
        match status {
            Some(Said::CREATED) => Self::Created,
            Some(Said::RUNNING) => Self::Running,
            Some(Said::PAUSED) => Self::Paused,
            Some(Said::RESTARTING) => Self::Restarting,
            Some(Said::REMOVING) => Self::Removing,
            Some(Said::EXITED) => Self::Exited,
            Some(Said::DEAD) => Self::Dead,
            _ => Self::Unsaid,
        }
    }
}

impl Health {
    fn read(state: &ContainerState) -> Self {
        let Some(health) = &state.health else {
            return Self::Unchecked;
        };
        match health.status {
            Some(HealthStatusEnum::STARTING) => Self::Starting,
            Some(HealthStatusEnum::HEALTHY) => Self::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Self::Unhealthy {
                failing_streak: unsigned(health.failing_streak),
                last_output: last_output(health),
            },
            _ => Self::Unchecked,
        }
    }
}

impl Image {
    pub(super) fn read(answer: ImageInspect) -> Self {
        let created = answer.created.and_then(|text| text.parse().ok());
        let dated = created.filter(|created: &Timestamp| created.as_second() >= FIRST_IMAGE_SECOND);
        Self {
            id: answer.id.unwrap_or_default(),
            created: dated,
        }
    }
}

fn last_output(health: &bollard::models::Health) -> String {
    let last = health.log.as_ref().and_then(|log| log.last());
    last.and_then(|result| result.output.as_deref())
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn unsigned(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_date_has_none() {
        let check = |created: &str, expected: bool| {
            let image = Image::read(ImageInspect {
                created: Some(created.to_owned()),
                ..Default::default()
            });
            assert_eq!(image.created.is_some(), expected, "{created}");
        };
        check("2026-01-01T00:00:00.123456789Z", true);
        check("0001-01-01T00:00:00Z", false);
        check("1980-01-01T00:00:01Z", false);
        check("", false);
    }

    #[test]
    fn what_was_run_by_hand_is_no_service() {
        let container = |labels: &[(&str, &str)]| {
            let labels = labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            let id = Some("1".to_owned());
            Container::read(ContainerSummary {
                id,
                labels: Some(labels),
                ..Default::default()
            })
        };
        assert!(container(&[(SERVICE_LABEL, "a"), (ONE_OFF_LABEL, "False")]).is_some());
        assert!(container(&[(SERVICE_LABEL, "a"), (ONE_OFF_LABEL, "True")]).is_none());
        assert!(container(&[]).is_none());
    }
}
