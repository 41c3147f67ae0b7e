package ginauth_test

func faultsH() []fault {
	return []fault{}
}
