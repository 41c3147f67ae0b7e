package ginauth

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ginauth/ginauth/internal/printable"
)

const iconLimit = 4 << 10 // bytes of an Icon

// checkBrand checks the fields of the provider's button.
func (p *Provider) checkBrand(add addMistake) {
	if p.Color != "" && !validColor(p.Color) {
		add("Color", "malformed", fmt.Sprintf("%q is not a color", printable.Clip(p.Color)), `use # and six hexadecimal digits: "#24292f"`)
	}
	if what, why := unfitIcon(p.Icon); p.Icon != "" && what != "" {
		add("Icon", what, why, `use one <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"> with plain shapes: <path d="…"/>, <circle/>, <rect/> and the like`)
	}
}

func validColor(s string) bool {
	return len(s) == 7 && s[0] == '#' && strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}

// iconShapes and iconAttributes list the elements and attributes that an Icon may have. It is
// inserted into the page unescaped, so none of them can run a script, load or link.
var (
	iconShapes     = []string{"svg", "g", "title", "path", "circle", "ellipse", "rect", "line", "polyline", "polygon"}
	iconAttributes = []string{
		"xmlns", "viewBox", "width", "height", "role", "aria-hidden", "aria-label", "d", "points", "transform", "opacity",
		"x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "fill", "fill-rule", "fill-opacity", "clip-rule",
		"stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-opacity",
	}
)

// unfitIcon returns why an SVG cannot be inserted into a page, as an id and a text, or "".
// Constructs that XML and HTML parse differently (entities, comments, CDATA, instructions) are
// rejected without parsing.
func unfitIcon(svg string) (what, why string) {
	if len(svg) > iconLimit {
		return "too_long", fmt.Sprintf("has %d bytes, more than %d", len(svg), iconLimit)
	}
	if strings.ContainsAny(svg, "&\x00") || strings.Contains(svg, "<!") || strings.Contains(svg, "<?") {
		return "markup", "contains an entity, a comment, a declaration or a processing instruction"
	}
	decoder := xml.NewDecoder(strings.NewReader(svg))
	depth, roots := 0, 0
	inTitle := false
	for {
		token, err := decoder.RawToken()
		switch t := token.(type) {
		case xml.StartElement:
			if what, why := unfitShape(t, depth); what != "" {
				return what, why
			}
			if depth == 0 {
				roots++
			}
			depth++
			inTitle = t.Name.Local == "title"
		case xml.EndElement:
			depth--
			inTitle = false
		case xml.CharData:
			if !inTitle && strings.TrimSpace(string(t)) != "" {
				return "text", "contains text"
			}
		}
		switch {
		case err == io.EOF && depth == 0 && roots == 1:
			return wellFormed(svg)
		case err != nil || depth < 0:
			return "malformed", "is not one well-formed svg element"
		}
	}
}

// wellFormed checks that start and end tags match, which RawToken does not.
func wellFormed(svg string) (what, why string) {
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
		return "malformed", "is not one well-formed svg element"
	}
	return "", ""
}

func unfitShape(t xml.StartElement, depth int) (what, why string) {
	if t.Name.Space != "" || !slices.Contains(iconShapes, t.Name.Local) {
		return "element", fmt.Sprintf("contains the element %q", printable.Clip(t.Name.Local))
	}
	if (depth == 0) != (t.Name.Local == "svg") {
		return "malformed", "is not one well-formed svg element"
	}
	for _, a := range t.Attr {
		if a.Name.Space != "" || !slices.Contains(iconAttributes, a.Name.Local) {
			return "attribute", fmt.Sprintf("contains the attribute %q", printable.Clip(a.Name.Local))
		}
		if a.Name.Local == "xmlns" && a.Value != "http://www.w3.org/2000/svg" {
			return "namespace", "uses a namespace other than SVG's"
		}
		if strings.Contains(a.Name.Local, "fill") || strings.Contains(a.Name.Local, "stroke") {
			if strings.ContainsAny(a.Value, "(:/\\") {
				return "reference", fmt.Sprintf("contains a reference in %q", printable.Clip(a.Name.Local))
			}
		}
	}
	return "", ""
}
