package ginauth

import (
	"reflect"
	"strings"

	"github.com/gorilla/securecookie"
)

// checkStore finds mistakes in Options.Sessions without using the store: a store with unusable
// keys accepts no session, and would fail only at the end of the first sign-in.
func (c *config) checkStore(wrong *mistakes) {
	if c.Sessions == nil {
		return
	}
	if v := reflect.ValueOf(c.Sessions); v.Kind() == reflect.Pointer && v.IsNil() {
		wrong.add("Options.Sessions", "nil", "is a nil pointer", "check the error returned with the store, or leave the option unset to keep sessions in a sealed cookie")
		return
	}
	codecs, found := storeCodecs(c.Sessions)
	if !found {
		return
	}
	what, why := "", ""
	if len(codecs) == 0 {
		what, why = "no_key", "has no key"
	}
	for _, codec := range codecs {
		if _, err := codec.Encode("ginauth", ""); err != nil {
			what, why = unfitKey(err)
		}
	}
	if what != "" {
		wrong.add("Options.Sessions", what, "the store "+why+", so it cannot save a session",
			`pass []byte(os.Getenv("STORE_KEY")) with a key from openssl rand -hex 32, and check that the variable is set before it is read`)
	}
}

// unfitKey returns why securecookie, with which gin-contrib's stores sign, cannot use a key,
// as an id and a text. Its errors have no types: the texts are those of v1.1.2 ("securecookie:
// hash key is not set") and of crypto/aes ("invalid key size").
func unfitKey(err error) (what, why string) {
	switch text := err.Error(); {
	case strings.Contains(text, "hash key is not set"):
		return "key_empty", "has an empty key (is the environment variable set?)"
	case strings.Contains(text, "invalid key size"):
		return "key_length", "has an encryption key (every second key) that is not 16, 24 or 32 bytes long"
	}
	return "key", "has an unusable key"
}

// storeCodecs returns the codecs of a store. All stores of gin-contrib have a field of that
// name, possibly nested.
func storeCodecs(store any) (codecs []securecookie.Codec, found bool) {
	v := reflect.Indirect(reflect.ValueOf(store))
	if v.Kind() != reflect.Struct {
		return nil, false
	}
	field, ok := v.Type().FieldByName("Codecs")
	if !ok {
		return nil, false
	}
	if v, err := v.FieldByIndexErr(field.Index); err == nil && v.CanInterface() {
		codecs, found = v.Interface().([]securecookie.Codec)
	}
	return codecs, found
}

// keptInMemory reports whether a store is gin-contrib's memstore, without importing it.
func keptInMemory(store any) bool {
	t := reflect.TypeOf(store)
	return t != nil && t.Kind() == reflect.Pointer && strings.HasSuffix(t.Elem().PkgPath(), "gin-contrib/sessions/memstore")
}
