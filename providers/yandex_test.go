package providers_test

import "testing"

func TestYandexPictures(t *testing.T) {
	for _, tt := range []struct{ old, new, picture string }{
		{`"131652443"`, `"36777/enc-01ab"`, "https://avatars.yandex.net/get-yapic/36777/enc-01ab/islands-200"},
		{`"is_avatar_empty": false`, `"is_avatar_empty": true`, ""},
		{`,
  "is_avatar_empty": false`, ``, ""},
		{`"131652443"`, `""`, ""},
		{`"131652443"`, `"1?x=https://evil.example"`, ""},
		{`"131652443"`, `"../../x"`, ""},
	} {
		s := newStandIn(t, "yandex")
		s.replace("info.json", tt.old, tt.new)
		if u := s.app(s.provider()).signIn(); u.Picture != tt.picture {
			t.Errorf("%s: the picture is %q, want %q", tt.new, u.Picture, tt.picture)
		}
	}
}

func TestYandexNames(t *testing.T) {
	s := newStandIn(t, "yandex")
	s.replace("info.json", `"display_name": "Petra"`, `"display_name": ""`)
	if u := s.app(s.provider()).signIn(); u.Name != "Petra Lindqvist" {
		t.Errorf("the name is %q", u.Name)
	}
}
