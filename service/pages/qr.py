"""A QR code as inline SVG: a path of its dark squares, which needs no style of its own."""

from markupsafe import Markup

# Of light squares on every side, as the standard asks.
_MARGIN = 4


def qr_svg(text: str, *, title: str) -> Markup:
    """`title` is what is read aloud in its place."""
    # A fifth of a second to load, which a web process that starts does not wait for.
    from reportlab.graphics.barcode.qrencoder import QRCode, QRErrorCorrectLevel

    code = QRCode(None, QRErrorCorrectLevel.M)
    code.addData(text)
    code.make()
    count = code.getModuleCount()
    places = [(row, column) for row in range(count) for column in range(count) if code.isDark(row, column)]
    drawn = "".join(f"M{column + _MARGIN} {row + _MARGIN}h1v1h-1z" for row, column in places)
    side = count + 2 * _MARGIN
    return Markup(
        '<svg class="qr" viewBox="0 0 {side} {side}" role="img" aria-label="{title}" shape-rendering="crispEdges">'
        '<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path fill="#000" d="{drawn}"/></svg>'
    ).format(side=side, title=title, drawn=drawn)
