//! iPXE's error numbers, as far as they come from checking a signature.

use der::DateTime;

use crate::Seconds;

/// Why iPXE refused a signature, by the number that it shows (`https://ipxe.org/1c69e502`): what the system failed
/// with, the source file, which of the file's errors; the last byte differs between BIOS and UEFI. The numbers are in
/// iPXE's `errno.h` and `errfile.h`. To iPXE a signer that ended and one that it never heard of are one error, so the
/// date that its machine's clock shows is named.
#[must_use]
pub fn ipxe_reason(number: u32, clock: Option<Seconds>) -> String {
    let text = match number >> 8 {
        // ecdsa.c, rsa.c
        0x1c_69e5 | 0x02_27e1 => "the signature does not match the file",
        // x509.c: expired, untrusted, useless
        0x02_16e4 | 0x02_16e6 | 0x02_16eb => {
            let on =
                clock.and_then(date).map_or_else(String::new, |day| format!(" on {day}, its clock's date"));
            return format!(
                "no root that it trusts vouches for the signer{on}: another key, or an expired certificate"
            );
        }
        // cms.c
        0x02_2ae1 | 0x02_2ae2 => "the certificate lacks digitalSignature or codeSigning",
        // httpcore.c
        n if n >> 8 == 0x2d0c => "the server has no signature",
        _ => "the signature cannot be read",
    };
    text.to_owned()
}

/// Why iPXE refuses an HTTPS server's certificate, from its error number; `None` for other errors.
#[must_use]
pub fn ipxe_server_reason(number: u32) -> Option<&'static str> {
    // x509.c
    Some(match number >> 8 {
        0x02_16e4 => "its certificate has expired, or is not valid yet, by the machine's clock",
        0x02_16e6 | 0x02_16eb => "no root that it trusts vouches for its certificate",
        0x02_16ea => "its certificate is for another host",
        _ => return None,
    })
}

fn date(clock: Seconds) -> Option<String> {
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(clock)).ok()?;
    Some(format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_under_bios_and_uefi() {
        for (number, word) in [
            (0x1c69_e502, "does not match"),
            (0x1c69_e582, "does not match"),
            (0x0216_eb3c, "no root"),
            (0x2d0c_613b, "no signature"),
            (0x3c00_e003, "cannot be read"),
            (0, "cannot be read"),
        ] {
            assert!(ipxe_reason(number, None).contains(word), "{number:x}");
        }
    }

    #[test]
    fn a_servers_certificate_is_refused_for_a_reason_or_for_none_of_these() {
        let said = |number| ipxe_server_reason(number).unwrap_or_default();
        assert!(said(0x0216_e43c).contains("expired") && said(0x0216_ea3c).contains("another host"));
        assert!(said(0x0216_eb3c).starts_with("no root") && said(0x0216_e682).starts_with("no root"));
        assert_eq!((ipxe_server_reason(0x4c12_6035), ipxe_server_reason(0x2d0c_613b)), (None, None));
    }

    #[test]
    fn the_clock_is_named_where_it_decides() {
        let text = ipxe_reason(0x0216_eb3c, Some(0xa949_1c2d));
        assert!(text.contains("on 2060-01-01, its clock's date"), "{text}");
        assert!(!ipxe_reason(0x0216_eb3c, Some(u64::MAX)).contains("date"));
    }
}
