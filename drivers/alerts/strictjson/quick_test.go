package strictjson

import (
	"reflect"
	"testing"
)

// FuzzQuick: what the quick decoder takes, the thorough one takes, and as the same value.
func FuzzQuick(f *testing.F) {
	for _, text := range []string{
		` {"a":[1,"x",true,null,{}], "b" : "\u0026\ud83d\udd34\n" , "":-1.5E+3 } `, `"\ud800"`, `"\ud800x"`, `{"a":1,"\u0061":2}`, "\"\u007f\"", `1e401`, "[1,]", `"\\ud800"`,
		"\ufeff[ ]", "1 2", `"\u0000"`, `-0`, `[[[[[[]]]]]]`, `"\/"`, "\"\xff\"",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := quick(data)
		if !ok {
			return
		}
		want, err := decode(data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: quick %#v, thorough %#v, %v", data, got, want, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"receiver":"penstock","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"DiskFull","instance":"db1:9100","severity":"critical","device":"sda"},"annotations":{"summary":"Disk is full","description":"Only 3 % left"},"startsAt":"2026-11-22T10:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus/graph?g0.expr=x\u0026g0.tab=1","fingerprint":"f1f2f3f4f5f6f7f8"}],"groupLabels":{"alertname":"DiskFull"},"commonLabels":{"alertname":"DiskFull","severity":"critical"},"commonAnnotations":{},"externalURL":"http://am","version":"4","groupKey":"{}:{alertname=\"DiskFull\"}","truncatedAlerts":0}`)
	for name, f := range map[string]func([]byte) (any, error){"quick": Decode, "thorough": decode} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
