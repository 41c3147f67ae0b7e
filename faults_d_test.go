package ginauth_test

func faultsD() []fault {
	return []fault{}
}
