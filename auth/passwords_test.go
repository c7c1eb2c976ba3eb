package auth

import "testing"

func TestCommonPasswords(t *testing.T) {
	t.Parallel()
	for password, refused := range map[string]bool{
		"password1234": true, "PasswordPassword": true, "123456789012": true, "penstock-admin-2026": true, "qwertyuiop123": true,
		"correct horse battery staple": false, "passwordless is a good idea": false, "Gd7!kq0z-Wpl": false,
	} {
		if err := checkPassword(password); (err != nil) != refused {
			t.Errorf("%q: %v", password, err)
		}
	}
}
