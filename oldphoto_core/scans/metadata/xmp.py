"""XMP packets: the seam to lxml. A label is merged into what a master says; all else that it says stays."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lxml import etree

LARGEST = 4 * 2**20
"""Bytes of a packet that is read. Long histories of editing make megabytes; more is a mistake, or malice."""
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a picture that a trained network changed."""

_META = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_OURS = "urn:oldphoto:derivative:1#"
_DESCRIPTION, _ABOUT = f"{{{_RDF}}}Description", f"{{{_RDF}}}about"
_EXTENSION = f"{{{_NOTE}}}HasExtendedXMP"
_EMPTY = f'<x:xmpmeta xmlns:x="{_META}"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'.encode()
_HEAD, _TAIL = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode(), b'\n<?xpacket end="w"?>'
_DECLARATION = re.compile(r"<\?xml\s[^>]*\?>")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


class BrokenXmpError(ValueError):
    """A packet that cannot be read; the message goes on after its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What a derivative's metadata say of its making."""

    software: str
    """Name and version."""
    model: str
    """Name of the weights."""
    model_digest: str
    """sha256 of the weights, in hex."""
    run_id: str
    master_key: str
    """In its bucket."""
    master_sha256: str
    """Of the master's file, in hex."""

    def properties(self) -> dict[str, str]:
        """As XMP has them: qualified name -> text."""
        return {
            f"{{{_IPTC}}}DigitalSourceType": COMPOSITE,
            f"{{{_IPTC}}}AISystemUsed": f"{self.software}, model {self.model}",
            f"{{{_IPTC}}}AISystemVersionUsed": self.model_digest,
            f"{{{_OURS}}}Software": self.software,
            f"{{{_OURS}}}Model": self.model,
            f"{{{_OURS}}}ModelDigest": self.model_digest,
            f"{{{_OURS}}}RunID": self.run_id,
            f"{{{_OURS}}}MasterKey": self.master_key,
            f"{{{_OURS}}}MasterSHA256": self.master_sha256,
        }


def with_label(packet: bytes | None, label: Label, warn: Callable[[str], None]) -> bytes:
    """A packet in UTF-8 of all that the master's says and the label, which alone counts where both say something.

    Args:
        packet: The master's, or None.
        label: What to add.
        warn: Called with why the master's packet is left out, if it has to be.
    """
    root = _parsed(_EMPTY)
    if packet is not None:
        try:
            root = _parsed(packet)
        except BrokenXmpError as error:
            warn(f"the master's XMP packet {error}: the derivative's says how it was made, and nothing else")
    rdf = _rdf_of(root)
    properties = label.properties()
    prefixes = {"Iptc4xmpExt": _IPTC, "oldphoto": _OURS}
    # one resource is described, so all descriptions have to call it alike
    described = etree.SubElement(rdf, _DESCRIPTION, {_ABOUT: _without(rdf, properties)}, nsmap=prefixes)
    for name, text in properties.items():
        etree.SubElement(described, name).text = _NOT_XML.sub(lambda odd: f"\\u{ord(odd[0]):04x}", text)
    return _HEAD + _serialised(root) + _TAIL


def joined(packet: bytes, extension: bytes) -> bytes:
    """A packet and its extension as one.

    Raises:
        BrokenXmpError: either cannot be read, or both are more than is read of one packet.
    """
    root, more = _parsed(packet), _parsed(extension)
    rdf = _rdf_of(root)
    _without(rdf, {_EXTENSION})
    rdf.extend(_rdf_of(more).findall(_DESCRIPTION))
    whole = _HEAD + _serialised(root) + _TAIL
    if len(whole) > LARGEST:
        raise BrokenXmpError(f"has {len(whole):,} bytes with its extension, more than the {LARGEST:,} that are read")
    return whole


def split(packet: bytes) -> tuple[bytes, bytes, str]:
    """A packet too long for where it has to go: (what goes there, the extension, the extension's MD5 in hex).

    The first names the extension, and holds the label where there is one; the extension holds all else (XMP
    specification, part 3, 1.1.3.1).

    Raises:
        BrokenXmpError: it cannot be read.
    """
    root, rest = _parsed(_EMPTY), _parsed(packet)
    rdf, about = _rdf_of(root), ""
    for description in _rdf_of(rest).findall(_DESCRIPTION):
        about = about or description.get(_ABOUT, "")
        if any(etree.QName(element).namespace == _OURS for element in description.iterchildren("*")):
            rdf.append(description)
    extension = _serialised(rest)
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    note = etree.SubElement(rdf, _DESCRIPTION, {_ABOUT: about}, nsmap={"xmpNote": _NOTE})
    etree.SubElement(note, _EXTENSION).text = digest
    return _HEAD + _serialised(root) + _TAIL, extension, digest


def _parsed(packet: bytes) -> etree._Element:
    """The root of a packet."""
    if len(packet) > LARGEST:
        raise BrokenXmpError(f"has {len(packet):,} bytes, more than the {LARGEST:,} that are read")
    text = _DECLARATION.sub("", _text_of(packet), count=1)
    if "<!DOCTYPE" in text:
        raise BrokenXmpError("declares a document type, which XMP must not")
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise BrokenXmpError(f"is broken ({error.msg})") from error
    if etree.QName(root).namespace not in (_META, _RDF):
        raise BrokenXmpError(f"is no XMP (its root is {etree.QName(root).localname!r})")
    return root


def _text_of(packet: bytes) -> str:
    encoding = next((name for start, name in _ENCODINGS if packet.startswith(start)), "utf-8")
    try:
        # TIFF fields may end in zeros
        return packet.decode(encoding).strip("\0\ufeff \t\r\n")
    except UnicodeError as error:
        raise BrokenXmpError(f"is no {encoding.upper()}") from error


def _rdf_of(root: etree._Element) -> etree._Element:
    name = f"{{{_RDF}}}RDF"
    if root.tag == name:
        return root
    found = root.find(name)
    return found if found is not None else etree.SubElement(root, name, nsmap={"rdf": _RDF})


def _without(rdf: etree._Element, names: Iterable[str]) -> str:
    """Takes the properties of these names out; returns what the descriptions call their resource, mostly nothing."""
    about = ""
    for description in rdf.findall(_DESCRIPTION):
        about = about or description.get(_ABOUT, "")
        for name in names:
            description.attrib.pop(name, None)
            for element in description.findall(name):
                description.remove(element)
        if not len(description) and set(description.attrib) <= {_ABOUT}:
            rdf.remove(description)
    return about


def _serialised(root: etree._Element) -> bytes:
    return bytes(etree.tostring(root, encoding="utf-8"))
