//! Blocks of postings: integers of as few bits as the largest of the block needs.

/// Postings of a full block.
pub const POSTINGS: usize = 128;

/// Widths of a block's three sequences in bits: differences of ids, frequencies, lengths.
pub type Widths = [u8; 3];

/// An unpacked block. Only the first `count` of each array count.
#[derive(Clone)]
pub struct Block {
    /// Ids of the chunks, from the first of their part.
    pub offsets: [u32; POSTINGS],
    /// Occurrences, less one.
    pub frequencies: [u32; POSTINGS],
    /// Lengths, less the shortest of the block.
    pub lengths: [u32; POSTINGS],
    /// Number of postings.
    pub count: usize,
}

impl Default for Block {
    fn default() -> Self {
        let zeros = [0; POSTINGS];
        Self { offsets: zeros, frequencies: zeros, lengths: zeros, count: 0 }
    }
}

/// Bytes of a block of so many postings.
pub fn size(count: usize, widths: Widths) -> usize {
    widths.iter().map(|width| (usize::from(*width) * count).div_ceil(8)).sum()
}

/// Bits that the largest of these integers has.
fn width(values: &[u32]) -> u8 {
    (u32::BITS - values.iter().fold(0, |all, value| all | value).leading_zeros()) as u8
}

impl Block {
    /// Appends the block behind a block that ends with `before` (-1, wrapped, before the first of a part).
    pub fn pack(&self, before: u32, bytes: &mut Vec<u8>) -> Widths {
        let mut gaps = [0; POSTINGS];
        let mut last = before;
        for (gap, offset) in gaps.iter_mut().zip(&self.offsets[..self.count]) {
            *gap = offset.wrapping_sub(last).wrapping_sub(1);
            last = *offset;
        }
        [&gaps, &self.frequencies, &self.lengths].map(|values| {
            let width = width(&values[..self.count]);
            if self.count == POSTINGS {
                pack_full(values, width, bytes);
            } else {
                pack_some(&values[..self.count], width, bytes);
            }
            width
        })
    }

    /// Unpacks `count` postings from as many bytes as [`size`] says; `None` where the ids do not ascend to `last`.
    pub fn unpack(
        &mut self,
        bytes: &[u8],
        count: usize,
        widths: Widths,
        before: u32,
        last: u32,
    ) -> Option<()> {
        let sizes = widths.map(|width| (usize::from(width) * count).div_ceil(8));
        let (gaps, bytes) = bytes.split_at_checked(sizes[0])?;
        let (frequencies, lengths) = bytes.split_at_checked(sizes[1])?;
        self.count = count;
        unpack(gaps, widths[0], &mut self.offsets, count)?;
        unpack(frequencies, widths[1], &mut self.frequencies, count)?;
        unpack(lengths, widths[2], &mut self.lengths, count)?;
        let mut offset = before;
        for gap in &mut self.offsets[..count] {
            offset = offset.wrapping_add(*gap).wrapping_add(1);
            *gap = offset;
        }
        // Differences this narrow cannot add up to more than 32 bits; wider ones could wrap and still end with `last`.
        let ascends = widths[0] <= 24 || self.offsets[..count].is_sorted_by(|a, b| a < b);
        (offset == last && ascends).then_some(())
    }
}

fn unpack(bytes: &[u8], width: u8, values: &mut [u32; POSTINGS], count: usize) -> Option<()> {
    if width > 32 {
        return None;
    }
    if width == 0 {
        values[..count].fill(0);
    } else if count == POSTINGS {
        unpack_full(bytes, width, values);
    } else {
        unpack_some(bytes, width, &mut values[..count]);
    }
    Some(())
}

/// Four lanes of 32 integers each, so that four are unpacked by one instruction: integer `4 i + lane` has its lowest bit at bit
/// `i * width` of its lane, and word `n` of a lane is word `4 n + lane`.
fn pack_full(values: &[u32; POSTINGS], width: u8, bytes: &mut Vec<u8>) {
    let width = u32::from(width);
    let mut words = [0_u32; POSTINGS];
    for (number, value) in values.iter().enumerate() {
        let (i, lane) = (number as u32 / 4, number % 4);
        let (word, shift) = ((i * width / 32) as usize, i * width % 32);
        words[word * 4 + lane] |= value << shift;
        if shift + width > 32 {
            words[word * 4 + 4 + lane] |= value >> (32 - shift);
        }
    }
    words[..width as usize * 4].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
}

fn unpack_full(bytes: &[u8], width: u8, values: &mut [u32; POSTINGS]) {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                $($width => unpack_lanes::<$width>(bytes, values),)*
                _ => unreachable!("widths are checked"),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

/// With a known width and without a loop the compiler knows every shift, and unpacks four integers at once.
fn unpack_lanes<const WIDTH: usize>(bytes: &[u8], values: &mut [u32; POSTINGS]) {
    let bytes: &[[u8; 16]; WIDTH] =
        bytes.as_chunks().0.try_into().expect("as many bytes as the width asks for");
    let words: [[u32; 4]; WIDTH] = std::array::from_fn(|i| {
        let [a, b, c, d]: [[u8; 4]; 4] =
            std::array::from_fn(|lane| std::array::from_fn(|byte| bytes[i][lane * 4 + byte]));
        [a, b, c, d].map(u32::from_le_bytes)
    });
    let mask = u32::MAX >> (32 - WIDTH);
    let values: &mut [[u32; 4]; POSTINGS / 4] =
        values.as_chunks_mut().0.try_into().expect("a block");
    macro_rules! step {
        ($($i:literal)*) => {
            $({
                let (word, shift) = ($i * WIDTH / 32, $i * WIDTH % 32);
                for lane in 0..4 {
                    let mut bits = words[word][lane] >> shift;
                    if shift + WIDTH > 32 {
                        bits |= words[(word + 1) % WIDTH][lane] << (32 - shift);
                    }
                    values[$i][lane] = bits & mask;
                }
            })*
        };
    }
    step!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
}

/// One integer behind the other, the lowest bit first.
fn pack_some(values: &[u32], width: u8, bytes: &mut Vec<u8>) {
    let (mut pending, mut bits) = (0_u64, 0);
    for value in values {
        pending |= u64::from(*value) << bits;
        bits += u32::from(width);
        while bits >= 8 {
            bytes.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        bytes.push(pending as u8);
    }
}

fn unpack_some(bytes: &[u8], width: u8, values: &mut [u32]) {
    let mask = u32::MAX >> (32 - width);
    let (mut pending, mut bits) = (0_u64, 0);
    let mut rest = bytes.iter();
    for value in values {
        while bits < u32::from(width) {
            pending |= u64::from(rest.next().copied().unwrap_or_default()) << bits;
            bits += 8;
        }
        *value = pending as u32 & mask;
        pending >>= width;
        bits -= u32::from(width);
    }
}
