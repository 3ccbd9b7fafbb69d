//! The path of a request as a web server looks it up: absolute form cut, percent-decoded, slashes
//! merged, dot segments resolved (RFC 3986, 5.2.4; Nginx: ngx_http_core_module, `location`).

/// `target` is what stands after the method.
pub(super) fn normalised(target: &[u8]) -> Vec<u8> {
    let path = path_of(target);
    let path = &path[..path
        .iter()
        .position(|b| b"?#".contains(b))
        .unwrap_or(path.len())];
    let decoded = percent_encoding::percent_decode(path).collect::<Vec<u8>>();
    let mut segments: Vec<&[u8]> = Vec::new();
    let parts: Vec<&[u8]> = decoded.split(|byte| *byte == b'/').collect();
    for segment in &parts {
        match *segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut normalised = b"/".to_vec();
    normalised.extend(segments.join(&b'/'));
    if normalised.len() > 1 && matches!(parts.last(), Some(&(b"" | b"." | b".."))) {
        normalised.push(b'/');
    }
    normalised
}

/// `https://host/path` is `/path` of that host.
fn path_of(target: &[u8]) -> &[u8] {
    let lower = target[..target.len().min(8)].to_ascii_lowercase();
    let rest = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| lower.starts_with(scheme))
        .map(|scheme| &target[scheme.len()..]);
    match rest {
        Some(rest) => &rest[memchr::memchr(b'/', rest).unwrap_or(rest.len())..],
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_however_it_is_written() {
        let check = |target: &str, expected: &str| {
            let found = String::from_utf8(normalised(target.as_bytes())).unwrap();
            assert_eq!(found, expected, "{target}");
        };
        for target in [
            "/admin/users",
            "//admin//users",
            "/%61dmin/users",
            "/y/../x/../admin/./users?token=s",
            "/x/../admin/users",
            "/../../admin/users",
            "https://mail.example.org/admin/users",
            "HTTP://mail.example.org:8080/admin/users#x",
            "/x/%2e%2e/admin%2fusers",
        ] {
            check(target, "/admin/users");
        }
        check("/admin/", "/admin/");
        check("/administrate", "/administrate");
        check("https://mail.example.org", "/");
        check("*", "/*");
        check("", "/");
        check("/%zz%4", "/%zz%4");
    }
}
