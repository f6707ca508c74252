//! Films.

use super::*;

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&length, kind.as_slice(), body].concat()
}

fn movie(entry: &[u8; 4], configuration: &[u8]) -> Vec<u8> {
    let mut fields = [0; 78];
    fields[24..28].copy_from_slice(&[2, 0x80, 1, 0xE0]);
    let entry = boxed(entry, &[&fields, configuration].concat());
    let description = boxed(b"stsd", &[[0, 0, 0, 0, 0, 0, 0, 1].as_slice(), &entry].concat());
    let sizes = boxed(b"stsz", &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 50]);
    let table = boxed(b"stbl", &[description, sizes].concat());
    let mut header = [0; 24];
    header[12..16].copy_from_slice(&1000_u32.to_be_bytes());
    header[16..20].copy_from_slice(&2000_u32.to_be_bytes());
    let handler = boxed(b"hdlr", b"\0\0\0\0\0\0\0\0vide\0\0\0\0\0\0\0\0\0\0\0\0");
    let media = [boxed(b"mdhd", &header), handler, boxed(b"minf", &table)].concat();
    let place = boxed(b"udta", b"\0\0\0\x14\xa9xyz+52.5+013.4");
    let track = boxed(b"trak", &[boxed(b"mdia", &media), place.clone()].concat());
    let head = boxed(b"ftyp", b"isom\0\0\0\0");
    [head, boxed(b"moov", &[track, place].concat()), boxed(b"mdat", &[7; 30])].concat()
}

fn avc(profile: u8, level: u8) -> Vec<u8> {
    movie(b"avc1", &boxed(b"avcC", &[1, profile, 0, level, 0xFF]))
}

fn read_film(bytes: &[u8]) -> Result<film::Film, Refused> {
    film::read(&mut Cursor::new(bytes), u64::try_from(bytes.len()).unwrap())
}

#[test]
fn films_tell_codec_and_frames_and_lose_their_place() {
    let bytes = avc(100, 31);
    let film = read_film(&bytes).unwrap();
    let video = &film.video;
    assert_eq!((video.columns, video.rows, video.frames), (640, 480, 50));
    assert_eq!((video.frame_micros, video.codec), (40_000, Codec::H264High41));
    let mut out = Vec::new();
    film::copy(&film, &mut bytes.as_slice(), &mut out).unwrap();
    assert_eq!(out.len(), bytes.len());
    assert!(contains(&bytes, b"+52.5") && !contains(&out, b"+52.5"));
    assert_eq!(read_film(&out).unwrap().video, film.video);
    assert_eq!(read_film(&avc(100, 42)).unwrap().video.codec, Codec::H264High42);
    let hevc = boxed(b"hvcC", &[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 120, 0]);
    assert_eq!(read_film(&movie(b"hvc1", &hevc)).unwrap().video.codec, Codec::H265Main51);
}

#[test]
fn boxes_with_a_large_length_keep_it() {
    let large = b"\0\0\0\x01udta\0\0\0\0\0\0\0\x20+52.5+013.4/////";
    let bytes = [avc(100, 31), large.to_vec(), boxed(b"free", b"")].concat();
    let film = read_film(&bytes).unwrap();
    let mut out = Vec::new();
    film::copy(&film, &mut bytes.as_slice(), &mut out).unwrap();
    assert!(out.len() == bytes.len() && !contains(&out, b"+52.5"));
    assert_eq!(read_film(&out).unwrap().video, film.video);
    assert!(contains(&out, b"\0\0\0\x01free\0\0\0\0\0\0\0\x20\0\0"));
}

#[test]
fn quicktime_is_not_called_mp4() {
    let with = |brands: &[u8]| {
        let rest = avc(100, 31)[16..].to_vec();
        read_film(&[boxed(b"ftyp", brands), rest].concat()).map(|_| ()).err()
    };
    assert_eq!(with(b"isom\0\0\0\0qt  "), None);
    assert_eq!(with(b"qt  \0\0\0\0qt  mp42"), None);
    assert!(with(b"qt  \0\0\0\0qt  ").unwrap().0.contains("QuickTime"));
}

#[test]
fn hostile_films_are_refused() {
    for (profile, level) in [(66, 30), (77, 31), (100, 51), (110, 40), (0, 0)] {
        assert!(read_film(&avc(profile, level)).is_err_and(|error| error.0.contains("profile")));
    }
    let good = avc(100, 31);
    for end in 0..good.len() {
        assert!(read_film(&good[..end]).is_err(), "{end}");
    }
    for at in 0..good.len() {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut changed = good.clone();
            changed[at] = value;
            let _ = read_film(&changed);
        }
    }
    let mut deep = Vec::new();
    for _ in 0..20_000 {
        deep = boxed(b"trak", &deep);
    }
    assert!(read_film(&[boxed(b"moov", &deep), good[..0].to_vec()].concat()).is_err());
    let many = boxed(b"free", b"").repeat(10_000);
    assert!(read_film(&[boxed(b"moov", &many), many].concat()).is_err());
    let fragments = [good, boxed(b"moof", b"")].concat();
    assert!(read_film(&fragments).is_err_and(|error| error.0.contains("fragments")));
}
