//! The stack machine of a pickle, on values that are data alone.
//!
//! Only the instructions that `torch.save` writes for tensors are known, and only the names in [`Global`].
//! "Calling" one makes a [`Tensor`] from its arguments, or an empty dictionary; no code of the file's
//! choosing runs.
//!
//! Lists, tuples and dictionaries lie in one [`Heap`] and are named by their index. So a value is copied,
//! never cloned deeply: nothing recurses, however deep a file nests, and a value that holds itself does no
//! harm. Texts stay in the pickle. Each instruction takes a bounded amount of memory, and their number is
//! bounded.

use std::collections::BTreeMap;

use super::bytes::Bytes;
use super::{Dtype, PickleError, Unsupported, damaged, shown, unsupported};

/// The most instructions that are run: enough for 60,000 tensors, of which each takes about 35. They take at
/// most about 200 MB.
const MAX_STEPS: u64 = 1 << 21;
/// The most dimensions of a tensor. Weights have four at most, those of convolutions over volumes five.
const MAX_RANK: usize = 8;

/// A value on the stack.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// None, a truth value, a fraction, an integer beyond 64 bits: nothing that a tensor is made of.
    Other,
    Int(i64),
    Text(&'a str),
    Global(Global),
    Object(Id),
}

/// An index into the heap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(usize);

/// What values refer to.
#[derive(Debug)]
pub(super) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
}

/// Objects by their index.
#[derive(Debug, Default)]
pub(super) struct Heap<'a>(Vec<Object<'a>>);

/// The classes and functions that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

/// A run of numbers that has an entry of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage<'a> {
    pub(super) dtype: Dtype,
    /// The entry's name, without its folder.
    pub(super) key: &'a str,
    /// How many numbers it says that it has.
    pub(super) count: usize,
}

/// A view of a storage, as the pickle describes it: not yet compared with the storage.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) storage: Storage<'a>,
    /// Where its first number stands in the storage.
    pub(super) offset: usize,
    pub(super) size: Vec<usize>,
    pub(super) stride: Vec<usize>,
}

impl<'a> Heap<'a> {
    /// The object that a value refers to, if it refers to one.
    pub(super) fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
        // An index is only ever made by `add`, so that there is an object.
        if let Value::Object(Id(index)) = value { self.0.get(index) } else { None }
    }

    fn object_mut(&mut self, value: Value<'a>) -> Option<&mut Object<'a>> {
        if let Value::Object(Id(index)) = value { self.0.get_mut(index) } else { None }
    }

    fn add(&mut self, object: Object<'a>) -> Value<'a> {
        self.0.push(object);
        Value::Object(Id(self.0.len() - 1))
    }
}

/// Runs a pickle: all objects that it makes, and the value that it stands for.
pub(super) fn run(pickle: &[u8]) -> Result<(Heap<'_>, Value<'_>), PickleError> {
    let mut machine = Machine {
        pickle: Bytes::new(pickle, "the pickle"),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        heap: Heap::default(),
    };
    for _ in 0..MAX_STEPS {
        let code = machine.pickle.u8()?;
        if code == b'.' {
            return machine.stop();
        }
        machine.step(code)?;
    }
    Err(unsupported(Unsupported::TooLarge { of: "pickle instructions", most: MAX_STEPS }))
}

struct Machine<'a> {
    pickle: Bytes<'a>,
    stack: Vec<Value<'a>>,
    /// The stack's heights at the open marks.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
    heap: Heap<'a>,
}

impl<'a> Machine<'a> {
    /// One instruction. The names are those of Python's `pickletools`.
    fn step(&mut self, code: u8) -> Result<(), PickleError> {
        if let Some(value) = self.literal(code)? {
            self.push(value);
            return Ok(());
        }
        match code {
            // PROTO
            0x80 => self.protocol(),
            // FRAME: a length that only helps to read ahead.
            0x95 => self.pickle.u64().map(drop),
            // MARK
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.push_object(Object::Tuple(Vec::new())),
            0x85..=0x87 => {
                let values = self.pop_last(usize::from(code - 0x84))?;
                self.push_object(Object::Tuple(values))
            }
            b't' => {
                let values = self.pop_mark()?;
                self.push_object(Object::Tuple(values))
            }
            // EMPTY_LIST, APPEND, APPENDS
            b']' => self.push_object(Object::List(Vec::new())),
            b'a' => {
                let values = self.pop_last(1)?;
                self.append(values)
            }
            b'e' => {
                let values = self.pop_mark()?;
                self.append(values)
            }
            // EMPTY_DICT, SETITEM, SETITEMS
            b'}' => self.push_object(Object::Dict(Vec::new())),
            b's' => {
                let values = self.pop_last(2)?;
                self.set_items(&values)
            }
            b'u' => {
                let values = self.pop_mark()?;
                self.set_items(&values)
            }
            _ => self.step_of_memo_or_call(code),
        }
    }

    /// The value that an instruction stands for by itself.
    fn literal(&mut self, code: u8) -> Result<Option<Value<'a>>, PickleError> {
        Ok(Some(match code {
            // NONE, NEWTRUE, NEWFALSE
            b'N' | 0x88 | 0x89 => Value::Other,
            // BINFLOAT
            b'G' => self.pickle.take(8).map(|_| Value::Other)?,
            // BININT, BININT1, BININT2, LONG1
            b'J' => Value::Int(i32::from_le_bytes(self.pickle.array()?).into()),
            b'K' => Value::Int(self.pickle.u8()?.into()),
            b'M' => Value::Int(self.pickle.u16()?.into()),
            0x8a => {
                let length = self.pickle.u8()?;
                long(self.pickle.take(length.into())?)
            }
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
            0x8c => {
                let length = self.pickle.u8()?;
                self.text(length.into())?
            }
            b'X' => {
                let length = self.pickle.u32()?;
                self.text(length.into())?
            }
            0x8d => {
                let length = self.pickle.u64()?;
                self.text(length)?
            }
            _ => return Ok(None),
        }))
    }

    /// The instructions that keep, fetch or make objects.
    fn step_of_memo_or_call(&mut self, code: u8) -> Result<(), PickleError> {
        match code {
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => {
                let place = self.pickle.u8()?;
                self.put(place.into())
            }
            b'r' => {
                let place = self.pickle.u32()?;
                self.put(place)
            }
            0x94 => {
                // As many as steps at most, so that it fits.
                let place = self.memo.len() as u32;
                self.put(place)
            }
            // BINGET, LONG_BINGET
            b'h' => {
                let place = self.pickle.u8()?;
                self.fetch(place.into())
            }
            b'j' => {
                let place = self.pickle.u32()?;
                self.fetch(place)
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (text(self.pickle.line()?)?, text(self.pickle.line()?)?);
                self.global(module, name)
            }
            0x93 => match self.pop_last(2)?[..] {
                [Value::Text(module), Value::Text(name)] => self.global(module, name),
                _ => Err(damaged("the pickle names a class by something else than text")),
            },
            // BINPERSID, REDUCE, BUILD
            b'Q' => self.persistent(),
            b'R' => self.call(),
            b'b' => self.build(),
            _ => Err(unsupported(Unsupported::Instruction { code })),
        }
    }

    fn protocol(&mut self) -> Result<(), PickleError> {
        match self.pickle.u8()? {
            2..=5 => Ok(()),
            _ => Err(damaged("the pickle's protocol is not one of 2 to 5")),
        }
    }

    fn stop(self) -> Result<(Heap<'a>, Value<'a>), PickleError> {
        match self.stack[..] {
            [value] if self.marks.is_empty() && self.pickle.is_empty() => Ok((self.heap, value)),
            _ => Err(damaged("the pickle does not end with one value")),
        }
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    fn push_object(&mut self, object: Object<'a>) -> Result<(), PickleError> {
        let value = self.heap.add(object);
        self.push(value);
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<Value<'a>, PickleError> {
        let bytes = self.pickle.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Value::Text(text(bytes)?))
    }

    /// Takes the last values, in their order. None from before the last mark.
    fn pop_last(&mut self, count: usize) -> Result<Vec<Value<'a>>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= floor => Ok(self.stack.split_off(height)),
            _ => Err(stack_too_low()),
        }
    }

    /// Takes the values from the last mark on.
    fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, PickleError> {
        let height = self.marks.pop().ok_or_else(stack_too_low)?;
        Ok(self.stack.split_off(height))
    }

    /// The last value, which stays.
    fn last(&self) -> Result<Value<'a>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(stack_too_low)
    }

    fn append(&mut self, values: Vec<Value<'a>>) -> Result<(), PickleError> {
        let list = self.last()?;
        match self.heap.object_mut(list) {
            Some(Object::List(list)) => list.extend(values),
            _ => return Err(damaged("the pickle appends to something else than a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, values: &[Value<'a>]) -> Result<(), PickleError> {
        let dict = self.last()?;
        let (pairs, []) = values.as_chunks::<2>() else {
            return Err(damaged("the pickle sets a key without a value"));
        };
        match self.heap.object_mut(dict) {
            Some(Object::Dict(dict)) => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(damaged("the pickle sets items of something else than a dictionary")),
        }
        Ok(())
    }

    fn put(&mut self, place: u32) -> Result<(), PickleError> {
        let value = self.last()?;
        self.memo.insert(place, value);
        Ok(())
    }

    fn fetch(&mut self, place: u32) -> Result<(), PickleError> {
        let value = self.memo.get(&place).copied();
        self.push(value.ok_or_else(|| damaged("the pickle fetches a value that it has not kept"))?);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        let global = Global::named(module, name);
        let unknown = || unsupported(Unsupported::Global { name: shown(&format!("{module}.{name}")) });
        self.push(Value::Global(global.ok_or_else(unknown)?));
        Ok(())
    }

    /// A reference to a storage: ("storage", class, key, device, count).
    fn persistent(&mut self) -> Result<(), PickleError> {
        let id = self.pop_last(1)?[0];
        let Some(Object::Tuple(parts)) = self.heap.object(id) else {
            return Err(damaged("the pickle refers to a storage by something else than a tuple"));
        };
        let [
            Value::Text("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Text(key),
            Value::Text(_),
            count,
        ] = parts[..]
        else {
            return Err(damaged("the pickle refers to something else than a storage"));
        };
        let count = natural(count, "a storage's number of elements")?;
        self.push_object(Object::Storage(Storage { dtype, key, count }))
    }

    /// What a call of a known class or function gives.
    fn call(&mut self) -> Result<(), PickleError> {
        let called = self.pop_last(2)?;
        let (Value::Global(global), Some(Object::Tuple(arguments))) =
            (called[0], self.heap.object(called[1]))
        else {
            return Err(damaged("the pickle calls something that is no class or function"));
        };
        match (global, &arguments[..]) {
            (Global::OrderedDict, []) => self.push_object(Object::Dict(Vec::new())),
            // Behind these: requires_grad, backward_hooks, and in newer versions None or a dictionary.
            (Global::RebuildTensor, [storage, offset, size, stride, more @ ..])
                if matches!(more.len(), 2 | 3) =>
            {
                let tensor = self.tensor(*storage, *offset, *size, *stride)?;
                self.push_object(Object::Tensor(Box::new(tensor)))
            }
            // The parameter is its tensor; requires_grad and backward_hooks do not matter.
            (Global::RebuildParameter, [tensor, _, _]) => {
                let tensor = *tensor;
                match self.heap.object(tensor) {
                    Some(Object::Tensor(_)) => self.push(tensor),
                    _ => return Err(damaged("a parameter is made of something else than a tensor")),
                }
                Ok(())
            }
            _ => Err(damaged("the pickle calls a class or function with arguments that it does not take")),
        }
    }

    fn tensor(
        &self,
        storage: Value<'a>,
        offset: Value<'a>,
        size: Value<'a>,
        stride: Value<'a>,
    ) -> Result<Tensor<'a>, PickleError> {
        let Some(Object::Storage(storage)) = self.heap.object(storage) else {
            return Err(damaged("a tensor is made of something else than a storage"));
        };
        Ok(Tensor {
            storage: *storage,
            offset: natural(offset, "a tensor's offset")?,
            size: self.naturals(size, "a tensor's size")?,
            stride: self.naturals(stride, "a tensor's stride")?,
        })
    }

    fn naturals(&self, value: Value<'a>, what: &str) -> Result<Vec<usize>, PickleError> {
        match self.heap.object(value) {
            Some(Object::Tuple(values)) if values.len() > MAX_RANK => {
                Err(unsupported(Unsupported::TooLarge {
                    of: "dimensions in a tensor",
                    most: MAX_RANK as u64,
                }))
            }
            Some(Object::Tuple(values)) => values.iter().map(|value| natural(*value, what)).collect(),
            _ => Err(damaged(format!("{what} is not a tuple"))),
        }
    }

    /// Attributes of an object: an `OrderedDict` of `state_dict()` has `_metadata`, which is not needed.
    fn build(&mut self) -> Result<(), PickleError> {
        self.pop_last(1)?;
        let object = self.last()?;
        match self.heap.object(object) {
            Some(Object::Dict(_)) => Ok(()),
            _ => Err(damaged("the pickle sets attributes of something else than a dictionary")),
        }
    }
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", name) => Global::Storage(match name {
                "DoubleStorage" => Dtype::F64,
                "FloatStorage" => Dtype::F32,
                "HalfStorage" => Dtype::F16,
                "BFloat16Storage" => Dtype::BF16,
                "LongStorage" => Dtype::I64,
                "IntStorage" => Dtype::I32,
                "ShortStorage" => Dtype::I16,
                "CharStorage" => Dtype::I8,
                "ByteStorage" | "UntypedStorage" => Dtype::U8,
                "BoolStorage" => Dtype::Bool,
                _ => return None,
            }),
            // Bytes without a type: PyTorch 2 writes the second name, versions shortly before it the first.
            ("torch.storage", "_UntypedStorage" | "UntypedStorage") => Global::Storage(Dtype::U8),
            _ => return None,
        })
    }
}

/// An integer of any length, the lowest byte first, in two's complement.
fn long<'a>(bytes: &[u8]) -> Value<'a> {
    let mut wide = match bytes.last() {
        Some(last) if last & 0x80 != 0 => [0xff; 8],
        _ => [0; 8],
    };
    match wide.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Value::Other,
    }
    Value::Int(i64::from_le_bytes(wide))
}

fn natural(value: Value<'_>, what: &str) -> Result<usize, PickleError> {
    match value {
        Value::Int(number) => usize::try_from(number).map_err(|_| damaged(format!("{what} is {number}"))),
        _ => Err(damaged(format!("{what} is not a 64-bit integer"))),
    }
}

fn text(bytes: &[u8]) -> Result<&str, PickleError> {
    std::str::from_utf8(bytes).map_err(|_| damaged("a text in the pickle is not UTF-8"))
}

fn stack_too_low() -> PickleError {
    damaged("the pickle takes a value that is not there")
}
