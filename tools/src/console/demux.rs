//! Takes the UART's bytes apart into text and log frames, whatever the order in which they come.
//!
//! A frame is `0xC0`, then the frame's bits in groups of six (first bit first, the last group
//! filled with zeroes), each as `0x80 | group`, then `0xC1`. Every byte of it has bit 7 set, so
//! ASCII text of another talker can stand between any two of them.

const START: u8 = 0xc0;
const END: u8 = 0xc1;
const GROUP: std::ops::RangeInclusive<u8> = 0x80..=0xbf;

/// A frame longer than this is a fault.
const LONGEST_FRAME: usize = 64 << 10;

/// What a byte completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A byte of text.
    Text(u8),
    /// The bytes of a whole frame.
    Frame(Vec<u8>),
    /// A frame that was cut off, overlong or wrongly filled.
    Damaged,
}

/// The state between two bytes.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    frame: Option<Partial>,
}

#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, right-aligned.
    bits: u32,
    bit_count: u32,
}

impl Demux {
    /// Takes the next byte from the UART.
    pub(crate) fn push(&mut self, byte: u8) -> Option<Item> {
        if byte == START {
            return self.frame.replace(Partial::default()).map(|_| Item::Damaged);
        }
        if byte.is_ascii() {
            return Some(Item::Text(byte));
        }
        let Some(frame) = &mut self.frame else {
            return Some(Item::Text(byte));
        };
        if byte == END {
            return self.frame.take().map(Partial::finish);
        }
        if !GROUP.contains(&byte) {
            return Some(Item::Text(byte));
        }
        frame.push(byte);
        if frame.bytes.len() > LONGEST_FRAME {
            self.frame = None;
            return Some(Item::Damaged);
        }
        None
    }
}

impl Partial {
    fn push(&mut self, byte: u8) {
        self.bits = (self.bits << 6) | u32::from(byte & 0x3f);
        self.bit_count += 6;
        if self.bit_count >= 8 {
            self.bit_count -= 8;
            let [low, ..] = (self.bits >> self.bit_count).to_le_bytes();
            self.bytes.push(low);
            self.bits &= (1 << self.bit_count) - 1;
        }
    }

    fn finish(self) -> Item {
        if self.bits == 0 && self.bit_count < 6 { Item::Frame(self.bytes) } else { Item::Damaged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written from the description above, independently of the decoder.
    fn encode(frame: &[u8]) -> Vec<u8> {
        let mut bits: Vec<u8> = frame
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1))
            .collect();
        while !bits.len().is_multiple_of(6) {
            bits.push(0);
        }
        let groups =
            bits.chunks(6).map(|six| 0x80 | six.iter().fold(0, |value, bit| value << 1 | bit));
        std::iter::once(START).chain(groups).chain([END]).collect()
    }

    fn decode(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, usize) {
        let mut demux = Demux::default();
        let (mut text, mut frames, mut damaged) = (Vec::new(), Vec::new(), 0);
        for item in bytes.iter().filter_map(|&byte| demux.push(byte)) {
            match item {
                Item::Text(byte) => text.push(byte),
                Item::Frame(frame) => frames.push(frame),
                Item::Damaged => damaged += 1,
            }
        }
        (text, frames, damaged)
    }

    /// A small generator, so that the test needs no crate and is the same each time.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % limit
        }
    }

    #[test]
    fn frames_of_every_length_come_back() {
        for length in 0..200_u8 {
            let frame: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37) ^ length).collect();
            assert_eq!(decode(&encode(&frame)), (vec![], vec![frame], 0));
        }
    }

    #[test]
    fn text_between_any_two_bytes_of_a_frame_changes_neither() {
        let mut random = Random(1);
        for _ in 0..2000 {
            let frames: Vec<Vec<u8>> = (0..random.below(5))
                .map(|_| {
                    (0..random.below(40))
                        .map(|_| u8::try_from(random.below(256)).unwrap())
                        .collect()
                })
                .collect();
            let text: Vec<u8> =
                (0..random.below(100)).map(|_| u8::try_from(random.below(128)).unwrap()).collect();
            let mut wire = frames.iter().flat_map(|frame| encode(frame)).peekable();
            let mut typed = text.iter().copied().peekable();
            let mut mixed = Vec::new();
            while wire.peek().is_some() || typed.peek().is_some() {
                let next = if random.below(2) == 0 { wire.next() } else { typed.next() };
                mixed.extend(next);
            }
            assert_eq!(decode(&mixed), (text, frames, 0));
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_damaged_and_the_next_one_is_whole() {
        let mut wire = encode(b"first");
        wire.truncate(4);
        wire.extend(encode(b"second"));
        assert_eq!(decode(&wire), (vec![], vec![b"second".to_vec()], 1));
    }

    #[test]
    fn wrong_filling_is_damage() {
        assert_eq!(decode(&[START, 0x80 | 0x3f, 0x80 | 0x3f, END]).2, 1);
        assert_eq!(decode(&[START, 0x80, END]).2, 1);
    }

    #[test]
    fn utf_8_text_outside_frames_passes() {
        let text = "Grüße ✓\n".as_bytes();
        assert_eq!(decode(text), (text.to_vec(), vec![], 0));
    }

    #[test]
    fn an_endless_frame_does_not_eat_memory() {
        let mut wire = vec![START];
        wire.extend(std::iter::repeat_n(0x80, LONGEST_FRAME * 2));
        let (_, frames, damaged) = decode(&wire);
        assert_eq!((frames.len(), damaged), (0, 1));
    }

    #[test]
    fn any_bytes_at_all_are_survived() {
        let mut random = Random(2);
        let noise: Vec<u8> =
            (0..100_000).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        let (text, ..) = decode(&noise);
        assert!(text.iter().filter(|byte| byte.is_ascii()).count() > 40_000);
    }
}
