package authtest_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

const formsPage = `<!DOCTYPE html><title><form></title>
<!-- <form action="/comment"><button>Comment</button></form> -->
<script>var s = "<form action='/script'>";</script>
<a class=x href="/plain?a=1&amp;b=2">Go <b>there</b></a> <a>no href</a> <a href=/exact>there</a>
<form id="one" name=first ACTION="/one?kept=1&amp;x" method=post>
  <input type="hidden" name="h" value="a &lt;&quot;b&quot; > c">
  <input name=t value=unquoted><input name="t" value='second'><input name="empty">
  <input type=checkbox name=c1 checked><input type=checkbox name=c2 value=v>
  <input type=radio name=r value=1><input type=radio name=r value=2 checked>
  <input type=file name=f><input type=reset name=z value=z><input name=off value=1 disabled><input value="no name">
  <textarea name="area">
line &amp; <b>
</textarea>
  <select name="s1"><option value=1>One<option value=2 selected>Two</select>
  <select name="s2"><option disabled>Never</option><option> First </option><option>Second</option></select>
  <select name="s3" multiple><option>x</select>
  <button name="go" value="save">Save &amp;
     <em>close</em></button>
  <button type="button" name=go value=script>Script</button>
  <input type="submit" name="go" value="Delete">
  <button formaction="/elsewhere" formmethod="get">Elsewhere</button>
</form>
<form action="/search?lost=1" method="nonsense"><input name=q value=x><button>Search</button></form>
<input form="one" name="late" value="1"><input form="nobody" name="lost" value="1">
<form><input type=image name=i></form>`

func formPage(source string) *authtest.Page {
	p := authtest.At("https://app.example.com/dir/page?old=1#frag")
	p.Body = []byte(source)
	return p
}

func TestForms(t *testing.T) {
	forms := formPage(formsPage).Forms()
	if len(forms) != 3 {
		t.Fatalf("%d forms: %+v", len(forms), forms)
	}
	one := forms[0]
	if one.ID != "one" || one.Name != "first" || one.Action != "/one?kept=1&x" || one.Method != "POST" {
		t.Errorf("form %+v", one)
	}
	want := url.Values{"h": {`a <"b" > c`}, "t": {"unquoted", "second"}, "empty": {""}, "c1": {"on"}, "r": {"2"},
		"area": {"line & <b>\n"}, "s1": {"2"}, "s2": {"First"}, "s3": nil, "late": {"1"}}
	if !reflect.DeepEqual(one.Fields, want) {
		t.Errorf("fields\n%q, want\n%q", one.Fields, want)
	}
	var buttons []string
	for _, button := range one.Buttons {
		buttons = append(buttons, button.Text+"|"+button.Name+"|"+button.Value)
	}
	if got := strings.Join(buttons, ", "); got != "Save & close|go|save, Delete|go|Delete, Elsewhere||" {
		t.Errorf("buttons %s", got)
	}
	if forms[1].Method != "GET" || forms[1].Fields.Get("q") != "x" || len(forms[2].Buttons) != 1 {
		t.Errorf("forms %+v", forms[1:])
	}
}

func TestFormsOfBrokenPages(t *testing.T) {
	for _, source := range []string{"", "<", "<form", "<form action='", "<form><button", "<form><select name=x><option", "<!-- <form>", "<form><textarea name=x>open",
		"</form><input name=x>", "<script><form>", "<form><input name=a name=b value value=2>", "< form>", "<a href=x", "<1>"} {
		p := formPage(source)
		if forms := p.Forms(); len(forms) > 1 {
			t.Errorf("%q has %d forms", source, len(forms))
		}
	}
}

func TestSubmitForm(t *testing.T) {
	for _, test := range []struct {
		name   string
		press  func(*authtest.Browser, *authtest.Page) (*authtest.Page, error)
		method string
		uri    string
		body   string // some of it
	}{
		{"by text", pressed("Save & close", nil), "POST", "/one?kept=1&x", "go=save"},
		{"by part of the text", pressed("close", nil), "POST", "/one?kept=1&x", "go=save"},
		{"by value", pressed("save", nil), "POST", "/one?kept=1&x", "go=save"},
		{"of an input", pressed("Delete", nil), "POST", "/one?kept=1&x", "go=Delete"},
		{"with an action and a method of its own", pressed("Elsewhere", set("t", "3")), "GET", "/elsewhere?area=line+%26+%3Cb%3E%0A&c1=on&empty=&h=a+%3C%22b%22+%3E+c&late=1&r=2&s1=2&s2=First&t=3", ""},
		{"the first", pressed("", url.Values{"t": {"x"}, "r": nil, "new": {"1", "2"}}), "POST", "/one?kept=1&x", "late=1&new=1&new=2&s1=2&s2=First&t=x"},
		{"a GET form replaces the query", pressed("Search", nil), "GET", "/search?q=x", ""},
		{"the third form, without an action", func(b *authtest.Browser, p *authtest.Page) (*authtest.Page, error) {
			return b.SubmitFormAt(p, 2, set("k", "v"))
		}, "GET", "/dir/page?i=&k=v", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			page := authtest.At(w.url("https://app.example.com/dir/page", "old", "1") + "#frag")
			page.Body = []byte(formsPage)
			p, err := test.press(w.browser, page)
			h := hear(t, p, err)
			if h.Method != test.method || h.URI != test.uri || !strings.Contains(h.Body, test.body) {
				t.Errorf("%s %s with %q", h.Method, h.URI, h.Body)
			}
			if h.get("Sec-Fetch-Site") != "same-origin" || h.get("Sec-Fetch-User") != "?1" {
				t.Errorf("headers %v", h.Header)
			}
		})
	}
}

func pressed(button string, fields url.Values) func(*authtest.Browser, *authtest.Page) (*authtest.Page, error) {
	return func(b *authtest.Browser, p *authtest.Page) (*authtest.Page, error) {
		return b.SubmitForm(p, button, fields)
	}
}

func TestNothingToPress(t *testing.T) {
	b := authtest.NewBrowser()
	if _, err := b.SubmitForm(formPage(formsPage), "No such button", nil); err == nil || !strings.Contains(err.Error(), `"Save & close"`) {
		t.Errorf("%v", err)
	}
	if _, err := b.SubmitForm(formPage("<p>no form"), "", nil); err == nil {
		t.Error("a form out of nowhere")
	}
	if _, err := b.SubmitFormAt(formPage(formsPage), 3, nil); err == nil {
		t.Error("a fourth form out of nowhere")
	}
	if _, err := b.SubmitForm(formPage(`<form action="javascript:x"><button>B</button></form>`), "B", nil); err == nil {
		t.Error("a script for an action")
	}
	if _, err := b.ClickLink(formPage(formsPage), "no href"); err == nil {
		t.Error("a link out of nowhere")
	}
}

func TestClickLink(t *testing.T) {
	w := newWorld(t)
	page := authtest.At(w.url("https://app.example.com/"))
	page.Body = []byte(formsPage)
	for text, want := range map[string]string{"Go there": "/plain?a=1&b=2", "Go": "/plain?a=1&b=2", "there": "/exact"} {
		p, err := w.browser.ClickLink(page, text)
		if got := hear(t, p, err).URI; got != want {
			t.Errorf("%q leads to %s", text, got)
		}
	}
}

func TestSelfSubmittingPage(t *testing.T) {
	w := newWorld(t)
	app := w.url("https://app.example.com/callback")
	for _, test := range []struct {
		name, body, kind string
		submits          bool
	}{
		{"by id", `<form id=form_post method=post action="` + app + `"><input name=code value=x><button>Go</button></form>`, "text/html", true},
		{"by attribute", `<form data-autosubmit method=post action="` + app + `"><input name=code value=x></form>`, "text/html", true},
		{"an ordinary form", `<form method=post action="` + app + `"></form>`, "text/html", false},
		{"one of two forms", `<form id=form_post method=post action="` + app + `"></form><form></form>`, "text/html", false},
		{"no page at all", `<form id=form_post method=post action="` + app + `"></form>`, "text/plain", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := w.browser.Clone()
			idp := w.url("https://evil.example.org/", "body", test.body)
			if test.kind != "text/html" {
				idp = plainServer(t, test.body)
			}
			p, err := b.Get(w.url("https://app.example.com/start", "set", "lax=1", "to", idp))
			if err != nil {
				t.Fatal(err)
			}
			if !test.submits {
				if p.Text() != test.body || len(p.Hops) != 2 {
					t.Errorf("page %s after %d hops", p.Text(), len(p.Hops))
				}
				return
			}
			h := hear(t, p, err)
			if h.Method != "POST" || h.Body != "code=x" || len(p.Hops) != 3 {
				t.Errorf("%s with %q after %d hops", h.Method, h.Body, len(p.Hops))
			}
			if h.get("Cookie") != "" || h.get("Sec-Fetch-Site") != "cross-site" || h.get("Sec-Fetch-User") != "" || h.get("Origin") == "" {
				t.Errorf("headers %v", h.Header)
			}
		})
	}
}

func plainServer(t *testing.T, body string) string {
	t.Helper()
	p := start(t, authtest.Config{})
	p.Handle(authtest.JWKS, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(body))
	})
	return p.URL(authtest.JWKS)
}

func TestFormAction(t *testing.T) {
	w := newWorld(t)
	app, www, evil := w.url("https://app.example.com/"), w.url("https://www.example.com/"), w.url("https://evil.example.org/")
	page := authtest.At(app)
	for _, test := range []struct {
		policy  string
		target  string
		allowed bool
	}{
		{"default-src 'none'", evil, true},
		{"form-action 'none'", app, false},
		{"form-action", app, false},
		{"default-src 'none'; Form-Action 'self'", app, true},
		{"form-action 'self'", www, false},
		{"form-action 'self' " + strings.TrimSuffix(www, "/"), www, true},
		{"form-action " + strings.TrimPrefix(strings.TrimSuffix(www, "/"), "https://"), www, true},
		{"form-action 'self'", w.url("https://app.example.com/", "to", www), false},
		{"form-action 'self' " + www, w.url("https://app.example.com/", "to", www, "status", "303"), true},
		{"form-action https:", evil, true},
		{"form-action https://evil.example.org:*", evil, true},
		{"form-action evil.example.org:*", evil, true},
		{"form-action http://evil.example.org:*", evil, false},
		{"form-action https://example.org:*", evil, false},
		{"form-action *", evil, true},
		{"form-action 'nonce-x'", app, false},
	} {
		page.Header.Set("Content-Security-Policy", test.policy)
		if _, err := w.browser.Submit(page, test.target, nil); (err == nil) != test.allowed {
			t.Errorf("%s, to %s: %v", test.policy, test.target, err)
		}
		if _, err := w.browser.Click(page, test.target); err != nil {
			t.Errorf("%s holds for links: %v", test.policy, err)
		}
	}
}
