//! Inputs changed at random, the same for the same seed.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// No input becomes longer.
const MOST: usize = 64 << 10;

/// What formats and readers treat apart.
const TOKENS: &[&[u8]] = &[
    b"{mask}",
    b"{text}",
    b"{sep}",
    b"{soft}",
    b"{soft:5}",
    b"{demos:3}",
    b"{{",
    b"}}",
    b"|shorten",
    b"\"",
    b"\"\"",
    b"'",
    b",",
    b"\t",
    b";",
    b"|",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\\",
    b"\x1b[2J",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"version\": 1,",
    b"\"label\":",
    b"0",
    b"-1",
    b"1e400",
    b"-0.0",
    b"1e-300",
    b"18446744073709551616",
    b"9223372036854775807",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"\xe2\x80\xa8",
    b"\xcc\x81",
    b"\xf0\x9f\x98\x80",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"PK\x03\x04",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
];

/// Makes inputs of a corpus.
pub struct Mutator {
    dice: ChaCha8Rng,
    corpus: Vec<Vec<u8>>,
    /// The corpus as it stands comes first.
    next: usize,
}

impl Mutator {
    /// Of inputs that are read well, or badly in a way of their own.
    pub fn new(seed: u64, door: &str, corpus: Vec<Vec<u8>>) -> Mutator {
        assert!(!corpus.is_empty(), "{door} has no corpus");
        Mutator { dice: cloze::seed::generator(seed, door), corpus, next: 0 }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        if let Some(input) = self.corpus.get(self.next) {
            self.next += 1;
            return input.clone();
        }
        let mut input = self.corpus.choose(&mut self.dice).expect("it is not empty").clone();
        // Mostly one to four changes, so that the rest is still read; now and then very many.
        let changes = if self.dice.gen_bool(0.02) { 64 } else { 1 << self.dice.gen_range(0..3) };
        for _ in 0..changes {
            self.change(&mut input);
        }
        input.truncate(MOST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.dice.gen_range(0..=input.len());
        let end = (at + self.dice.gen_range(0..=16)).min(input.len());
        match self.dice.gen_range(0..10) {
            0 if at < input.len() => input[at] ^= 1 << self.dice.gen_range(0..8),
            1 if at < input.len() => input[at] = self.dice.r#gen(),
            2 => drop(input.drain(at..end)),
            3 => input.truncate(at),
            4 => {
                let piece = input[at..end].to_vec();
                let times = self.dice.gen_range(1..8);
                input.splice(at..at, piece.repeat(times));
            }
            5 => {
                let other = self.corpus.choose(&mut self.dice).expect("it is not empty");
                let from = self.dice.gen_range(0..=other.len());
                let to = self.dice.gen_range(from..=other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            6 => {
                // Nesting, or one token very often.
                let token = *TOKENS.choose(&mut self.dice).expect("there are tokens");
                let times = 1 << self.dice.gen_range(0..13);
                input.splice(at..at, token.repeat(times));
            }
            7 => {
                if let Some(digits) = digits_from(input, at) {
                    let number: &[u8] =
                        [b"0" as &[u8], b"-1", b"99999999999999999999", b"1e308", b"0.5", b"4294967296"]
                            .choose(&mut self.dice)
                            .expect("there are numbers");
                    input.splice(digits, number.iter().copied());
                }
            }
            _ => {
                let token = *TOKENS.choose(&mut self.dice).expect("there are tokens");
                let over = if self.dice.r#gen() { at..end } else { at..at };
                input.splice(over, token.iter().copied());
            }
        }
        input.truncate(MOST);
    }
}

/// The first number at a place or behind it.
fn digits_from(input: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let start = at + input[at..].iter().position(u8::is_ascii_digit)?;
    let length = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(start..start + length)
}
