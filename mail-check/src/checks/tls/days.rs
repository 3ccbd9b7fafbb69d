//! How long a chain of certificates lasts: as long as the one that ends first.

use jiff::Timestamp;

use crate::finding::Finding;
use crate::limits::Floor;
use crate::net::Chain;
use crate::status::Status;

pub(super) fn judge(target: &str, chain: &Chain, now: Timestamp, limits: Floor) -> Finding {
    let names = chain.own().whose();
    let first = chain.first_to_end();
    let days = first.days_left(now);
    let message = if first == chain.own() {
        format!("the certificate for {names} has {days:.0} days left")
    } else {
        format!(
            "the certificate for {names} is signed by one that has {days:.0} days left ({})",
            first.subject
        )
    };
    let mut finding = Finding::ok("certificate", target, message).above(days, "days", limits);
    if finding.status != Status::Ok {
        finding.message += "; renew it (certbot renew) and reload the services";
    }
    if chain.begins_with_signer() {
        finding.status = finding.status.max(Status::Warning);
        finding.message += "; the chain begins with the certificate that signed the next one: \
                            the server's own must come first";
    }
    finding
}
