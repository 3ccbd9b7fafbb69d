//! How long a certificate lasts.

use jiff::Timestamp;

use crate::finding::Finding;
use crate::limits::Floor;
use crate::net::Certificate;
use crate::status::Status;

pub(super) fn judge(
    target: &str,
    certificate: &Certificate,
    now: Timestamp,
    limits: Floor,
) -> Finding {
    let days = certificate.days_left(now);
    let message = format!(
        "the certificate for {} has {days:.0} days left",
        certificate.names.join(", ")
    );
    let mut finding = Finding::ok("certificate", target, message).above(days, "days", limits);
    if finding.status != Status::Ok {
        finding.message += "; renew it (certbot renew) and reload the services";
    }
    finding
}
