//! Until when certificates are good, as a metric.

use metrics::gauge;
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

/// Tells when the first of `certificates`, those of a file of the kind `file`, ends; nothing if none of them can be read.
pub(super) fn tell(file: &'static str, certificates: &[CertificateDer<'_>]) {
    let ends = certificates.iter().filter_map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    if let Some(first) = ends.min() {
        gauge!("twotower_certificate_ends_timestamp_seconds", "file" => file).set(first as f64);
    }
}
