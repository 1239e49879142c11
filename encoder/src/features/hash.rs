//! The hashes of the `hash` encoding.

use crate::signature::HashFunction;

/// Hashes a raw value's text.
pub(crate) fn hash(function: HashFunction, seed: u64, text: &[u8]) -> u64 {
    match function {
        HashFunction::Fnv1a64 => fnv1a64(seed, text),
        HashFunction::Murmur3_32 => u64::from(murmur3_32(seed as u32, text)),
    }
}

fn fnv1a64(seed: u64, text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

fn murmur3_32(seed: u32, text: &[u8]) -> u32 {
    let mix = |block: u32| {
        block
            .wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let blocks = text.chunks_exact(4);
    let tail = blocks.remainder();
    let mut hash = blocks.fold(seed, |hash, block| {
        let block = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        (hash ^ mix(block))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64)
    });
    if !tail.is_empty() {
        hash ^= mix(tail
            .iter()
            .rev()
            .fold(0, |block, byte| block << 8 | u32::from(*byte)));
    }
    hash ^= text.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_gives_its_published_values() {
        assert_eq!(fnv1a64(0, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64(0, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a64(0, b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn murmur_gives_its_published_values() {
        assert_eq!(murmur3_32(0, b""), 0);
        assert_eq!(murmur3_32(1, b""), 0x514e_28b7);
        assert_eq!(murmur3_32(0, b"test"), 0xba6b_d213);
        assert_eq!(murmur3_32(0, b"Hello, world!"), 0xc036_3e43);
        assert_eq!(murmur3_32(0x9747_b28c, b"aaa"), 0x283e_0130);
    }
}
