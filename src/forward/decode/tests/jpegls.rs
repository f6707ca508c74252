//! JPEG-LS streams by DCMTK, and what a stranger may make of them.

use super::*;

const LOSSLESS: &str = "1.2.840.10008.1.2.4.80";
const NEAR: &str = "1.2.840.10008.1.2.4.81";

/// `picture()`.
const GRAY: &str = "ffd8fff7000b080008000801011100ffda000801010000000080280500afbadb218310e62901bbb333288adb6d9db6da46492491555522\
aaaeffffd9";
/// `flat()`, with runs.
const FLAT: &str = "ffd8fff7000b080008000801011100ffda000801010000000080280500afbadb218310e6290180a8980500a015f00b3fd001e0015f16df\
d73c6fb6db53333288ffd9";
/// The same, off by three at most.
const FLAT_NEAR: &str = "ffd8fff7000b080008000801011100ffda000801010003000099b3ff51249240a98db77fa000407f17ddfb6946a480ffd900";
/// `colours()`, interleaved by line, by sample, not.
const COLOURS: [&str; 3] = [
    "ffd8fff70011080008000803011100021100031100ffda000c0301000200030000010080280500afbadb28123460b142442097caa343ff50c1\
88731480c1bbb3330822ab6d9c00343c0280500af80506425f7dd6df888888864fefe222248ad001e073d07e0df2492447f24924e16dddf5d73cf116\
9bc71befbef9249274924932aaacaaab00ffd9",
    "ffd8fff70011080008000803011100021100031100ffda000c030100020003000002004e00c018800520f9520549922645221fd37fea8f4306\
20310e6291dd999955b6c1887000c0c99489130015f800afc0057e1d6e002bec944e71398998999332d96aad96cb65b2d8000003800000037f01d839\
918a2319332664cc94000001be3ecb267850f8eb739de6bacd7399e331c6637f4924925555555998ffffd9",
    "ffd8fff70011080008000803011100021100031100ffda000801010000000080280500afbadb218310e6290180a8980500a015f00b3fd001e0\
015f16dfd73c6fb6db53333288ffda0008010200000000400c41e71a6160c188731480c0544c0280500af8059fe8000037c001df16802ad56a53a547\
6a66665100ffda000801030000000080280500afbadb218310e62901bbb333288adb6d9db6da46492491555522aaaeffd9",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    let byte = |two: &[char]| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn flat() -> Vec<u8> {
    let mut flat = picture();
    flat[16..48].fill(40);
    flat[37] = 200;
    flat
}

fn colours() -> Vec<u8> {
    flat().into_iter().zip(picture()).flat_map(|(one, other)| [one, 255 - one, other]).collect()
}

const RGB: Made = Made { samples: 3, ..EIGHT };

fn pixels(made: &Made, syntax: &str, stream: Vec<u8>) -> Result<Vec<u8>, Fault> {
    Ok(decoded(made, syntax, vec![vec![], stream])?.1.split_off(12))
}

#[test]
fn every_interleaving_and_runs_give_the_pixels() {
    assert_eq!(pixels(&EIGHT, LOSSLESS, bytes(GRAY)).unwrap(), picture());
    assert_eq!(pixels(&EIGHT, LOSSLESS, bytes(FLAT)).unwrap(), flat());
    for stream in COLOURS {
        assert_eq!(pixels(&RGB, LOSSLESS, bytes(stream)).unwrap(), colours());
    }
    let near = pixels(&EIGHT, NEAR, bytes(FLAT_NEAR)).unwrap();
    let most = near.iter().zip(flat()).map(|(got, want)| got.abs_diff(want)).max();
    assert_eq!(most, Some(3));
}

#[test]
fn a_stream_that_ends_early_is_never_filled_up() {
    for (made, stream) in [(&EIGHT, GRAY), (&EIGHT, FLAT), (&RGB, COLOURS[0]), (&RGB, COLOURS[2])] {
        let stream = bytes(stream);
        // The last byte of the image may be nothing but padding.
        for keep in 0..stream.len() - 5 {
            assert!(pixels(made, LOSSLESS, stream[..keep].to_vec()).is_err(), "{keep}");
        }
    }
}

#[test]
fn what_is_not_decoded_is_told() {
    let told = |stream: Vec<u8>| why(pixels(&EIGHT, LOSSLESS, stream));
    let with = |segment: &[u8]| {
        let mut stream = bytes(GRAY);
        stream.splice(2..2, segment.iter().copied());
        stream
    };
    let changed = |at: usize, value: u8| {
        let mut stream = bytes(GRAY);
        stream[at] = value;
        stream
    };
    assert!(told(with(&[0xFF, 0xDD, 0, 4, 0, 8])).contains("restart intervals"));
    assert!(told(with(&[0xFF, 0xF8, 0, 5, 2, 1, 1])).contains("mapping tables"));
    assert!(told(with(b"\xFF\xE8\0\x07mrfx\x01")).contains("colour transform"));
    assert_eq!(pixels(&EIGHT, LOSSLESS, with(b"\xFF\xE8\0\x07mrfx\0")).unwrap(), picture());
    assert_eq!(pixels(&EIGHT, LOSSLESS, with(b"\xFF\xFE\0\x04ab")).unwrap(), picture());
    // The thresholds that hold anyway, and some that do not ascend.
    let preset = |third: u8| [0xFF, 0xF8, 0, 13, 1, 0, 255, 0, 3, 0, 7, 0, third, 0, 64];
    assert_eq!(pixels(&EIGHT, LOSSLESS, with(&preset(21))).unwrap(), picture());
    assert!(told(with(&preset(6))).contains("parameters"));
    // Rows, precision, near, interleaving of one component.
    assert!(told(changed(8, 9)).contains("not as large"));
    assert!(told(changed(6, 12)).contains("more bits"));
    assert!(told(changed(6, 1)).contains("parameters"));
    assert!(told(changed(22, 200)).contains("parameters"));
    assert!(told(changed(23, 3)).contains("parameters"));
    assert!(why(pixels(&RGB, LOSSLESS, bytes(GRAY))).contains("not as large"));
    assert!(told(vec![0xFF, 0xD8]).contains("ends too early"));
    assert!(told(rle(&picture())).contains("does not begin"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever comes, the frame has its size or there is a sentence, and it is not the one of a decoder that broke.
    #[test]
    fn no_stream_does_harm(
        which in 0_usize..6,
        flips in proptest::collection::vec((0_usize..200, any::<u8>()), 0..6),
        keep in 0_usize..200,
    ) {
        let (made, stream) = [
            (&EIGHT, GRAY), (&EIGHT, FLAT), (&EIGHT, FLAT_NEAR),
            (&RGB, COLOURS[0]), (&RGB, COLOURS[1]), (&RGB, COLOURS[2]),
        ][which];
        let mut stream = bytes(stream);
        for (at, value) in flips {
            let length = stream.len();
            stream[at % length] = value;
        }
        if keep < stream.len() && keep % 3 == 0 {
            stream.truncate(keep);
        }
        match pixels(made, LOSSLESS, stream) {
            Ok(pixels) => prop_assert_eq!(pixels.len(), 64 * usize::from(made.samples)),
            Err(fault) => prop_assert!(!fault.to_string().contains("broke the decoder"), "{}", fault),
        }
    }
}
