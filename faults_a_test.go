package ginauth_test

func faultsA() []fault {
	return []fault{}
}
