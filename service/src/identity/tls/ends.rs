//! Until when certificates are good, as a metric.

use metrics::gauge;
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

/// When the first of `certificates` ends, in seconds since 1970; none if none of them can be read.
pub(super) fn first(certificates: &[CertificateDer<'_>]) -> Option<i64> {
    let ends = certificates.iter().filter_map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    ends.min()
}

/// Tells when the certificates of a file of the kind `file` end, which are used from now on.
pub(super) fn tell(file: &'static str, end: Option<i64>) {
    if let Some(end) = end {
        gauge!("twotower_certificate_ends_timestamp_seconds", "file" => file).set(end as f64);
    }
}
