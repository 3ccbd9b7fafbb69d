//! How old the images are: one that is never rebuilt has old holes.

use jiff::Timestamp;

use super::facts::Service;
use super::settings::Settings;
use crate::docker::{Details, Image};
use crate::finding::Finding;

const DAY_SECONDS: f64 = 86_400.0;

/// Of the oldest image; nothing where none is known, which is reported elsewhere.
pub(super) fn judge(service: &Service<'_>, settings: &Settings, now: Timestamp) -> Option<Finding> {
    if settings
        .ageless
        .iter()
        .any(|ageless| ageless == service.name)
    {
        return None;
    }
    let known = service
        .containers
        .iter()
        .filter_map(|known| known.inspected.as_ref().ok());
    // What has no date comes first, as the oldest does.
    let (details, image) = known.min_by_key(|(_, image)| image.created)?;
    Some(judge_one(service.name, details, image, settings, now))
}

fn judge_one(
    service: &str,
    details: &Details,
    image: &Image,
    settings: &Settings,
    now: Timestamp,
) -> Finding {
    let name = &details.image_name;
    let Some(created) = image.created else {
        let message = format!(
            "the image {name} ({}) has no date; put {service} into `ageless` in [containers]",
            image.id
        );
        return Finding::unknown("image-age", service, message);
    };
    let days = now.duration_since(created).as_secs_f64().max(0.0) / DAY_SECONDS;
    let next = "to renew it, docker compose pull or build, then up -d";
    let message = format!("the image {name} was built {days:.0} days ago; {next} {service}");
    Finding::ok("image-age", service, message).under(days, "days", settings.image_age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{Health, State};
    use crate::status::Status;

    #[test]
    fn age_is_judged_and_no_date_is_unknown() {
        let check = |created: Option<i64>, expected| {
            let image = Image {
                id: "i".to_owned(),
                created: created.and_then(|day| Timestamp::from_second(day * 86_400).ok()),
            };
            let details = Details {
                state: State::Running,
                health: Health::Healthy,
                restarts: 0,
                exit_code: 0,
                out_of_memory: false,
                error: String::new(),
                started: None,
                image_id: String::new(),
                image_name: "mail/postfix:3".to_owned(),
                tty: false,
            };
            let now = Timestamp::from_second(20_000 * 86_400).unwrap();
            let finding = judge_one("s", &details, &image, &Settings::default(), now);
            assert_eq!(finding.status, expected, "{}", finding.message);
        };
        check(Some(20_000 - 89), Status::Ok);
        check(Some(20_000 - 90), Status::Warning);
        check(Some(20_001), Status::Ok);
        check(None, Status::Unknown);
    }
}
