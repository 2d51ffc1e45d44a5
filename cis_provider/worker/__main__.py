from cis_provider.worker.main import main

main()
