"""Commands and printers for gdb that know the monitor's data.

cairn granule PA    state, reference count and lock of a granule
cairn rd PA         the Realm Descriptor in a granule
cairn rec PA        the Realm Execution Context in a granule
cairn rtt RD IPA    the walk through a Realm's tables to an address
cairn ledger        granules that could not be given back

Layouts come from the debug information. What is only in bits is written down here once, with the
file that it has to agree with. Granules are read by physical address (QEMU's gdb server can), so
that it does not matter which CPU is where; the monitor's own data are at their virtual addresses
only while a CPU is stopped in the monitor.
"""

import re

import gdb
import gdb.printing

# granule/src/guard.rs: the bits of a granule's word.
LOCKED = 1 << 15
STATE_SHIFT = 10
STATE_MASK = 0x1F
COUNT_MASK = 0x3FF

# granule/src/history.rs: the last role of a DELEGATED granule, in the bits of the count.
ROLE_MASK = 0x7

# realm/src/rtt/entry.rs: the bits of a table's entry.
VALID = 1 << 0
TABLE_OR_PAGE = 1 << 1
NS = 1 << 55
UNPROTECTED = 1 << 5
ASSIGNED = 1 << 4
RIPAS_SHIFT = 2
RIPAS = ["EMPTY", "RAM", "DESTROYED", "?"]
ADDRESS_MASK = 0x3FFFFFFFFF000
LPA2_TOP = (0x300, 42)  # bits 9:8 are bits 51:50 of the address

GRANULE = 4096
SHARED = "cairn::image::SHARED"


def physical(address, size):
    """Bytes at a physical address."""
    try:
        gdb.execute("maintenance packet Qqemu.PhyMemMode:1", to_string=True)
        return bytes(gdb.selected_inferior().read_memory(address, size))
    except gdb.MemoryError:
        raise gdb.GdbError(f"there is no memory at physical address {address:#x}")
    finally:
        gdb.execute("maintenance packet Qqemu.PhyMemMode:0", to_string=True)


def number(text):
    """The value of an expression."""
    return int(gdb.parse_and_eval(text)) & (1 << 64) - 1


def inner(value):
    """What is inside of the wrappers that Rust puts around a value."""
    wrappers = ("UnsafeCell", "MaybeUninit", "ManuallyDrop", "MaybeDangling", "Atomic")
    while any(re.match(rf"[a-z_:]+::{name}\w*(<|$)", str(value.type)) for name in wrappers):
        names = [field.name for field in value.type.fields()]
        value = value[next(name for name in ("value", "v", "__0") if name in names)]
    return value


def shared():
    """What all CPUs share."""
    symbol = gdb.lookup_static_symbol(SHARED) or gdb.lookup_global_symbol(SHARED)
    if symbol is None:
        raise gdb.GdbError("the monitor's symbols are not loaded")
    return inner(symbol.value()["data"])


def names_of(kind):
    """Names of the values of an enumeration, by number."""
    fields = gdb.lookup_type(kind).fields()
    return {field.enumval: field.name.rsplit("::", 1)[-1] for field in fields}


def state_names():
    """Names of the granule states."""
    return names_of("granule::state::GranuleState")


def granule_word(pa):
    """The word of a granule, or nothing if the monitor does not track it."""
    table = shared()["granules"]
    others = table["others"]
    runs = [table["main"]]
    items = inner(others["buffer"]["buffer"]) if others["len"] else None
    runs += [inner(items[index]) for index in range(int(others["len"]))]
    for run in runs:
        index = (pa - int(run["base"])) // GRANULE
        if 0 <= index < int(run["words"]["length"]):
            word = (run["words"]["data_ptr"] + index).dereference()
            return int(inner(word))
    return None


def describe(word):
    """A granule's word in words."""
    names = state_names()
    state = names.get(word >> STATE_SHIFT & STATE_MASK, "?")
    text = state.upper()
    if state == "Delegated":
        role = names.get(word & ROLE_MASK, "?")
        text += f", was {role.upper()}" if word & COUNT_MASK else ", has had no role"
    else:
        text += f", count {word & COUNT_MASK}"
    return text + (", locked" if word & LOCKED else "")


def contents(pa, state, name):
    """The granule at `pa`, which has to be in this state, as a value of the type `name`."""
    if pa % GRANULE:
        raise gdb.GdbError(f"{pa:#x} is no granule: not a multiple of {GRANULE}")
    word = granule_word(pa)
    if word is None:
        raise gdb.GdbError(f"the monitor does not track {pa:#x}")
    found = state_names().get(word >> STATE_SHIFT & STATE_MASK)
    if found != state:
        raise gdb.GdbError(f"{pa:#x} is {describe(word)}")
    kind = gdb.lookup_type(name)
    return gdb.Value(physical(pa, kind.sizeof), kind)


def show(value, without):
    """The fields of a value, a line each, with numbers in hexadecimal."""
    for field in value.type.fields():
        if field.name not in without:
            text = value[field.name].format_string(format="x", max_elements=8)
            print(f"  {field.name:<16} {text}")


class Entry:
    """An entry of a translation table."""

    def __init__(self, raw, level, lpa2):
        self.address = raw & ADDRESS_MASK
        if lpa2:
            self.address |= (raw & LPA2_TOP[0]) << LPA2_TOP[1]
        self.is_table = bool(raw & VALID and raw & TABLE_OR_PAGE and level < 3)
        ripas = RIPAS[raw >> RIPAS_SHIFT & 3]
        if self.is_table:
            self.text = f"TABLE {self.address:#x}"
        elif raw & VALID:
            self.text = f"ASSIGNED{'_NS' if raw & NS else ', RAM'}, {self.address:#x}"
        elif raw & UNPROTECTED:
            self.text = "UNASSIGNED_NS"
        elif raw & ASSIGNED:
            self.text = f"ASSIGNED, {ripas}, {self.address:#x}"
        else:
            self.text = f"UNASSIGNED, {ripas}"


class Cairn(gdb.Command):
    """Commands that know the monitor's data; `help cairn` lists them."""

    def __init__(self):
        super().__init__("cairn", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class Command(gdb.Command):
    """One of them: a number of addresses, and what to do with them."""

    def __init__(self, name, arguments, action):
        self.__doc__ = action.__doc__
        self.arguments, self.action, self.name = arguments, action, name
        super().__init__(f"cairn {name}", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, text, from_tty):
        words = gdb.string_to_argv(text)
        if len(words) != len(self.arguments):
            raise gdb.GdbError(f"usage: cairn {self.name} {' '.join(self.arguments)}")
        try:
            self.action(*(number(word) for word in words))
        except gdb.MemoryError:
            raise gdb.GdbError("the monitor's memory cannot be read here: stop in the monitor first")


def granule(pa):
    """cairn granule PA: state, reference count and lock of a granule."""
    word = granule_word(pa & -GRANULE)
    text = "not tracked by the monitor" if word is None else f"{describe(word)} (word {word:#06x})"
    print(f"granule {pa & -GRANULE:#x}: {text}")


def rd(pa):
    """cairn rd PA: the Realm Descriptor in a granule."""
    value = contents(pa, "Rd", "realm::rd::Rd")
    print(f"RD {pa:#x}: {names_of('realm::rd::RealmState').get(int(value['state']), '?')}")
    show(value, ("state", "recs", "reserved"))


def rec(pa):
    """cairn rec PA: the Realm Execution Context in a granule; of one that runs, the CPU has more."""
    value = contents(pa, "Rec", "realm::rec::Rec")
    print(f"REC {pa:#x}: index {int(value['index'])} of RD {int(value['owner']):#x}")
    show(value, ("owner", "index", "reserved"))


def rtt(descriptor, ipa):
    """cairn rtt RD IPA: the walk through a Realm's tables to an address, a line for each level."""
    tree = contents(descriptor, "Rd", "realm::rd::Rd")["tree"]
    level, table, lpa2 = int(tree["start"]), int(tree["root"]), bool(tree["lpa2"])
    if ipa >> int(tree["ipa_width_bits"]):
        raise gdb.GdbError(f"{ipa:#x} is outside of the Realm's {int(tree['ipa_width_bits'])} bits")
    shift = 12 + 9 * (3 - level)
    index = ipa >> shift  # start-level tables stand one behind the other
    while True:
        at = table + 8 * index
        entry = Entry(int.from_bytes(physical(at, 8), "little"), level, lpa2)
        print(f"level {level}: table {table:#x}, entry {index}: {entry.text}")
        if not entry.is_table:
            return
        table, level, shift = entry.address, level + 1, shift - 9
        index = ipa >> shift & 511


def ledger():
    """cairn ledger: granules that could not be given back."""
    book = shared()["ledger"]
    inside = inner(book["inner"]["inner"]["data"])
    entries = inside["entries"]
    count = int(entries["len"])
    size = f"{count} granules" if count else "empty"
    print(f"ledger: {size}, {int(inside['overflowed'])} more did not fit")
    items = inner(entries["buffer"]["buffer"]) if count else None
    for index in range(count):
        print(f"  {inner(items[index]).format_string(format='x')}")


class Address:
    """A physical address that has been checked."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return f"{int(self.value['__0']):#x}"


class Word:
    """A granule's word: the only atomic number of 16 bits."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return describe(int(inner(self.value["v"])))


def printers():
    """Printers for types of the monitor."""
    collection = gdb.printing.RegexpCollectionPrettyPrinter("cairn")
    collection.add_printer("GranuleAddr", "^machine::addr::GranuleAddr$", Address)
    collection.add_printer("granule word", "^core::sync::atomic::AtomicU16$", Word)
    return collection


gdb.printing.register_pretty_printer(None, printers(), replace=True)
Cairn()
Command("granule", ["PA"], granule)
Command("rd", ["PA"], rd)
Command("rec", ["PA"], rec)
Command("rtt", ["RD", "IPA"], rtt)
Command("ledger", [], ledger)
